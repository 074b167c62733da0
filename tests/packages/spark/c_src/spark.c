#include <erl_nif.h>

static ERL_NIF_TERM volts(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    (void)argc;
    (void)argv;
    return enif_make_int(env, 230);
}

static ErlNifFunc functions[] = {{"volts", 0, volts, 0}};

ERL_NIF_INIT(Elixir.Spark, functions, NULL, NULL, NULL, NULL)
