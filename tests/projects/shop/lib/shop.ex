defmodule Shop do
  @title Application.compile_env(:shop, :title)

  def check do
    for {name, value} <- all(), do: IO.puts("#{name}: #{value}")
  end

  defp all do
    [
      title: @title,
      sum: Top.sum(),
      shown: Top.Show.show(Top.sum()),
      compiled: Greeter.compiled(),
      read: Greeter.read(),
      mode: Settings.mode(),
      heard: Gossip.heard(),
      extra: Perhaps.extra(),
      nuts: :hedgehog.nuts(),
      weight: :stone.weight(),
      volts: Spark.volts()
    ]
  end
end
