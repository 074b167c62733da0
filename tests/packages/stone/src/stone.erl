-module(stone).
-export([weight/0]).

weight() -> 7.
