defmodule Spark do
  @on_load :load

  def load, do: :erlang.load_nif(:filename.join(:code.priv_dir(:spark), ~c"spark"), 0)
  def volts, do: :erlang.nif_error(:not_loaded)
end
