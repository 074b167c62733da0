defmodule Settings do
  @mode Application.compile_env(:settings, :mode, :none)

  def mode, do: @mode
end
