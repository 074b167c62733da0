defmodule Perhaps do
  if Code.ensure_loaded?(Extra) do
    def extra, do: Extra.there?()
  else
    def extra, do: false
  end
end
