defmodule Hello do
  @moduledoc """
  Says hello, in words that the environment may choose.
  """

  @doc "The greeting for `name`."
  @spec greet(String.t()) :: String.t()
  def greet(name) do
    greeting = Application.fetch_env!(:hello, :greeting)
    "#{greeting}, #{name}!"
  end
end
