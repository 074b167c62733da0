%% Answers each line with the same line.
-module(echo).
-behaviour(application).
-export([start/2, stop/1, listen/1]).

start(_Type, _Arguments) ->
    {ok, spawn_link(?MODULE, listen, [port()])}.

stop(_State) ->
    ok.

port() ->
    case os:getenv("PORT") of
        false -> application:get_env(echo, port, 4007);
        Port -> list_to_integer(Port)
    end.

listen(Port) ->
    Options = [binary, {packet, line}, {active, false}, {reuseaddr, true}],
    {ok, Socket} = gen_tcp:listen(Port, Options),
    io:format("listening on ~b~n", [Port]),
    accept(Socket).

accept(Socket) ->
    {ok, Client} = gen_tcp:accept(Socket),
    spawn(fun() -> answer(Client) end),
    accept(Socket).

answer(Client) ->
    case gen_tcp:recv(Client, 0) of
        {ok, Line} ->
            ok = gen_tcp:send(Client, Line),
            answer(Client);
        {error, closed} ->
            ok
    end.
