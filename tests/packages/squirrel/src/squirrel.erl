-module(squirrel).
-include("squirrel.hrl").
-export([nuts/0]).

nuts() -> ?NUTS.
