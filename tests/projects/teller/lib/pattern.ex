defmodule Teller.Pattern do
  @moduledoc "A regular expression whose names are of different lengths: see `Exflow.Beam`."
  @pattern ~r/(?<a>\d+)-(?<much_longer_than_that>\d+)-(?<neither>[a-z]+)/
  def names(text), do: Regex.named_captures(@pattern, text)
end
