-module(walnut).
-export([kernel/0]).

%% What the plugin of rebar3 has left.
kernel() ->
    {ok, Kernel} = file:read_file(filename:join(code:priv_dir(walnut), "kernel")),
    Kernel.
