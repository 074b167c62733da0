-module(hedgehog).
-include_lib("squirrel/include/squirrel.hrl").
-export([nuts/0]).

nuts() -> ?NUTS + squirrel:nuts().
