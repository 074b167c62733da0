defmodule Exflow.Batch do
  @moduledoc "Several packages in one go: one in this VM, and others in as many more as are asked for."

  def compile(apps, folder, jobs) do
    # What isn't begun, because something failed, has an output all the same: one that nobody takes.
    for app <- apps, do: File.mkdir_p!(Path.join(Exflow.root(), "build/lib/#{app}"))
    needs = Map.new(apps, fn app -> {app, needs(app)} end)
    jobs = jobs |> min(length(apps)) |> max(1)
    self = self()
    others = for _ <- 2..jobs//1, do: open_worker()
    Exflow.start()
    here = spawn_link(fn -> work_here(self) end)
    loop(apps, needs, [here | others], [], %{}, folder)
  end

  # What exflow looks for where it has asked for several.
  defp done(folder, app) do
    File.mkdir_p!(folder)
    File.write!(Path.join(folder, app), "")
  end

  defp needs(app) do
    {package, _} = Code.eval_file(Path.join(Exflow.root(), "packages/#{app}/package.exs"))
    Enum.map(package[:needs], &Atom.to_string/1)
  end

  defp work_here(parent) do
    receive do
      {:compile, app} ->
        send(parent, {:done, self(), app, Exflow.Package.compile(app)})
        work_here(parent)
    end
  end

  defp open_worker do
    elixir = System.find_executable("elixir")
    arguments = ["-pa", Path.join(Exflow.root(), "tools"), "-e", "Exflow.Batch.worker()"]
    Port.open({:spawn_executable, elixir}, [:nouse_stdio, :exit_status, {:line, 4096}, {:args, arguments}])
  end

  @doc "Compiles what the VM that has started this one asks for."
  def worker do
    port = Port.open({:fd, 3, 4}, [:eof, {:line, 4096}])
    Exflow.start()
    work_there(port)
  end

  defp work_there(port) do
    receive do
      {^port, {:data, {:eol, app}}} ->
        app = List.to_string(app)
        Port.command(port, "#{app} #{Exflow.Package.compile(app)}\n")
        work_there(port)

      {^port, :eof} ->
        System.halt(0)
    end
  end

  # Those that wait for something that failed are not begun.
  defp loop(waiting, needs, idle, busy, done, folder) do
    ready = Enum.find(waiting, fn app -> Enum.all?(needs[app], &(not is_map_key(needs, &1) or done[&1] == true)) end)

    cond do
      ready != nil and idle != [] ->
        [worker | idle] = idle
        if is_pid(worker), do: send(worker, {:compile, ready}), else: Port.command(worker, "#{ready}\n")
        loop(List.delete(waiting, ready), needs, idle, [worker | busy], done, folder)

      busy == [] ->
        :ok

      true ->
        {worker, app, ok} =
          receive do
            {:done, worker, app, ok} ->
              {worker, app, ok}

            {worker, {:data, {:eol, line}}} ->
              [app, ok] = line |> List.to_string() |> String.split(" ")
              {worker, app, ok == "true"}

            {_worker, {:exit_status, _}} ->
              System.halt(1)
          end

        if ok, do: done(folder, app)
        loop(waiting, needs, [worker | idle], List.delete(busy, worker), Map.put(done, app, ok), folder)
    end
  end
end
