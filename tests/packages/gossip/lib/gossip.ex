defmodule Gossip do
  # What isn't its own.
  @heard Application.get_env(:shop, :secret, "nothing")

  def heard, do: @heard
end
