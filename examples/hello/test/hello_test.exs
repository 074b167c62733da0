defmodule HelloTest do
  use ExUnit.Case, async: true

  test "greets by name" do
    assert Hello.greet("world") == "Hello, world!"
  end
end
