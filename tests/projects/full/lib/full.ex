defmodule Full do
  @moduledoc "What is kept of it: see `strip_beams`."
  def said, do: "#{Application.fetch_env!(:full, :late)} #{System.get_env("FROM_TEMPLATE")}"
end
