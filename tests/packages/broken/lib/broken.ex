defmodule Broken do
  def call, do: undefined_variable
end
