-module(nutcracker).
-export([init/1, do/1, format_error/1]).

init(State) ->
    Provider = providers:create([
        {name, crack}, {namespace, nutcracker}, {module, ?MODULE}, {bare, true}, {deps, []},
        {example, ""}, {opts, []}, {short_desc, "cracks"}, {desc, "cracks"}
    ]),
    {ok, rebar_state:add_provider(State, Provider)}.

do(State) ->
    Apps = case rebar_state:current_app(State) of
        undefined -> rebar_state:project_apps(State);
        App -> [App]
    end,
    [crack(filename:join(rebar_app_info:out_dir(App), "priv/kernel")) || App <- Apps],
    {ok, State}.

crack(Path) ->
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, hinge:squeeze("tasty")).

format_error(Reason) ->
    io_lib:format("~p", [Reason]).
