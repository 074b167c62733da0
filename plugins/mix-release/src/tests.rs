use super::*;
use exflow_plugin_sdk::{File, Folder, Place, Proposal, Scalar, Setting, Step, UsedThing};
use mix_project::testing::{SHA, hex, lock, ready, refused};

fn ask(root: &str, settings: &[(&str, &str)], files: &[(&str, &str)]) -> Answer {
    ask_with(root, settings, files, &[])
}

fn ask_with(
    root: &str,
    settings: &[(&str, &str)],
    files: &[(&str, &str)],
    made: &[(&str, &str, &str)],
) -> Answer {
    mix_project::testing::ask(propose, root, settings, files, made)
}

fn step<'a>(proposal: &'a Proposal, name: &str) -> &'a Step {
    let found = proposal.steps.iter().find(|step| step.name == name);
    found.unwrap_or_else(|| panic!("no step {name}: {:?}", names(proposal)))
}

fn names(proposal: &Proposal) -> Vec<&str> {
    proposal.steps.iter().map(|step| step.name.as_str()).collect()
}

/// Without those that cut the configuration.
fn own_names(proposal: &Proposal) -> Vec<&str> {
    names(proposal).into_iter().filter(|name| !name.starts_with("config")).collect()
}

fn written<'a>(step: &'a Step, name: &str) -> &'a str {
    let file = step.files.iter().find(|file| file.path.ends_with(name)).expect(name);
    &file.contents
}

const SIMPLE: &str = "def project do\n [app: :shop, version: \"1.0.0\", deps: []]\nend";

#[test]
fn a_project_of_one_application() {
    let proposal = ready(ask("services/shop", &[], &[("services/shop/mix.exs", SIMPLE)]));
    assert_eq!(proposal.steps.len(), 1);
    let step = &proposal.steps[0];
    assert_eq!(step.workdir, "services/shop");
    // Without `releases`, Mix refuses any name.
    assert_eq!(step.argv[4..], [""]);
    assert_eq!(step.outputs, ["services/shop/_exflow/release"]);
    assert!(step.sources.contains(&"services/shop/lib".to_owned()));
    assert!(!step.sources.iter().any(|source| source == "test" || source.starts_with("test/")));
    assert_eq!(proposal.image.unwrap().entrypoint, ["/app/bin/shop"]);
    // No step and no path of an image holds a version.
    assert!(!format!("{:?}", proposal.steps[0].argv).contains("1.0.0"));
}

/// What stands in a path is never taken for a pattern.
#[test]
fn a_folder_whose_name_could_be_a_pattern() {
    let configured = "def project, do: [app: :shop, deps: [], config_path: \"!etc/{a}.exs\"]";
    let proposal = ready(ask("svc[1]", &[], &[("svc[1]/mix.exs", configured)]));
    let sources = &proposal.steps[0].sources;
    assert!(sources.contains(&r"svc\[1\]/lib".to_owned()), "{sources:?}");
    let all = |source: &String| source.trim_start_matches('!').starts_with(r"svc\[1\]/");
    assert!(sources.iter().all(all), "{sources:?}");
}

#[test]
fn the_release_that_is_meant() {
    let two = "def project do [app: :a, releases: [x: [], y: []]] end";
    assert_eq!(refused(ask("", &[], &[("mix.exs", two)])), ["which-release"]);
    assert_eq!(refused(ask("", &[("release", "z")], &[("mix.exs", two)])), ["unknown-release"]);
    assert_eq!(ready(ask("", &[("release", "y")], &[("mix.exs", two)])).steps[0].argv[4], "y");
    let computed =
        "def project do [app: :a, releases: releases()] end\ndefp releases, do: Enum.map(x, y)\n";
    let proposal = ready(ask("", &[], &[("mix.exs", computed)]));
    assert_eq!(proposal.steps[0].argv[4..], [""]);
    assert!(proposal.steps[0].argv[2].contains("bin/exflow-start"));
    assert_eq!(proposal.image.unwrap().entrypoint, ["/app/bin/exflow-start"]);
    let one = "def project do [app: :a, releases: []] end";
    assert_eq!(ready(ask("", &[("release", "a")], &[("mix.exs", one)])).steps[0].argv[4], "");
    assert_eq!(refused(ask("", &[("release", "b")], &[("mix.exs", one)])), ["unknown-release"]);
    let umbrella = "def project do [apps_path: \"apps\"] end";
    assert_eq!(refused(ask("", &[], &[("mix.exs", umbrella)])), ["umbrella-release"]);
}

/// What the packages of an umbrella are, and what each of them sees.
#[test]
fn an_umbrella_with_a_path_dependency() {
    let files = [
        (
            "mix.exs",
            "def project, do: [apps_path: \"apps\", deps: [{:lib, path: \"libs/lib\"}], releases: [web: [applications: [web: :permanent]]]]\n",
        ),
        (
            "apps/web/mix.exs",
            "def project do [app: :web, elixirc_paths: [\"lib\", \"web\"], deps: [{:db, in_umbrella: true}]] end",
        ),
        ("apps/db/mix.exs", "def project do [app: :db] end"),
        ("apps/other/mix.exs", "def project do [app: :other, deps: [{:gone, \"~> 1.0\"}]] end"),
        ("apps/notes/README", "no application"),
        ("libs/lib/mix.exs", "def project do [app: :lib, deps: [{:more, path: \"../more\"}]] end"),
        ("libs/more/mix.exs", "def project do [app: :more] end"),
    ];
    let proposal = ready(ask("", &[], &files));
    assert_eq!(
        names(&proposal),
        [
            "tools",
            "configured",
            "config-db",
            "config-more",
            "config-lib",
            "config-web",
            "app-db",
            "app-more",
            "app-lib",
            "app-web",
            "release"
        ]
    );
    let web = step(&proposal, "app-web");
    for source in ["apps/web/web", "apps/db/lib", "apps/web/mix.exs"] {
        assert!(web.sources.contains(&source.to_owned()), "{source}");
    }
    assert!(!web.sources.contains(&"libs/lib/lib".to_owned()));
    assert!(web.together && web.outputs == ["_exflow/build/lib/web"]);
    let package = written(web, "package.exs");
    assert!(
        package.contains("{:db, [path: \"../../../apps/db\", from_umbrella: true, env: :prod]}"),
        "{package}"
    );
    assert!(package.contains("needs: [:db]") && package.contains("local: true"), "{package}");
    assert!(package.contains("config: [:db, :web]"), "{package}");
    let release = step(&proposal, "release");
    for source in ["apps/web/web", "apps/db/lib", "libs/more/lib", "config"] {
        assert!(release.sources.contains(&source.to_owned()), "{source}");
    }
    // What no application of the release needs isn't there.
    assert!(!release.sources.iter().any(|source| source.starts_with("apps/other")));
    let image = proposal.image.unwrap();
    let deps = image.layers.iter().find(|layer| layer.name == "deps").unwrap();
    assert_eq!(deps.files, ["lib", "!lib/db-*", "!lib/web-*"]);
}

#[test]
fn packages_of_hex() {
    let lock = lock(&[
        hex(
            "a",
            "1.2.0",
            "{:b, \"~> 1.0\", [hex: :b, repo: \"hexpm\", optional: false]}, {:c, \"~> 1.0\", [hex: :c, repo: \"hexpm\", optional: true]}",
        ),
        hex("b", "1.0.0", ""),
        hex("d", "2.0.0", "{:c, \">= 0.0.0\", [hex: :c, repo: \"hexpm\", optional: true]}"),
        hex("dev_only", "1.0.0", ""),
    ]);
    let mix = "def project do [app: :shop, deps: deps()] end\ndefp deps do [{:a, \"~> 1.1\"}, {:d, \">= 0.0.0\", env: :dev, runtime: false}, {:dev_only, \"~> 1.0\", only: [:dev, :test]}] end";
    let proposal = ready(ask("", &[], &[("mix.exs", mix), ("mix.lock", &lock)]));
    assert_eq!(own_names(&proposal), ["tools", "dep-b", "dep-a", "dep-d", "release"]);
    let fetches: Vec<&str> = proposal.fetches.iter().map(|fetch| fetch.name.as_str()).collect();
    assert_eq!(fetches, ["hex-b", "hex-a", "hex-d"]);
    let a = step(&proposal, "dep-a");
    // Nothing of the workspace: it is the same in all projects.
    assert!(a.sources.is_empty());
    let package = written(a, "package.exs");
    assert!(package.contains("{:b, [hex: \"b\", repo: \"hexpm\"]}"), "{package}");
    // Nobody else wants it.
    assert!(package.contains("needs: [:b]") && !package.contains(":c,"), "{package}");
    assert!(written(a, "mix.lock").contains("\"b\": {:hex, :b"));
    assert!(!written(a, "mix.lock").contains("dev_only"));
    assert!(written(step(&proposal, "dep-d"), "package.exs").contains("env: :dev"));
    assert_eq!(written(step(&proposal, "config-a"), "slices/a"), "a");
    let settings = [("compile-config", "a: b ex_aws, d: a, myApp: a")];
    let proposal = ready(ask("", &settings, &[("mix.exs", mix), ("mix.lock", &lock)]));
    assert_eq!(written(step(&proposal, "config-a"), "slices/a"), "a\nb\nex_aws");
    // Several VMs compile side by side.
    let lock = ("MIX_OS_CONCURRENCY_LOCK", "0");
    assert!(a.env.iter().any(|pair| (&*pair.name, &*pair.value) == lock), "{:?}", a.env);
}

#[test]
fn locks_that_do_not_fit() {
    let said = |deps: &str, lock: &str| {
        let mix = format!("def project do [app: :shop, deps: [{deps}]] end");
        refused(ask("", &[], &[("mix.exs", &mix), ("mix.lock", lock)]))
    };
    let one = lock(&[
        hex("a", "1.0.0", "{:b, \"~> 2.0\", [hex: :b, optional: false]}"),
        hex("b", "1.0.0", ""),
    ]);
    assert_eq!(said("{:a, \"~> 1.0\"}", &one), ["version-conflict"]);
    assert_eq!(said("{:b, \"~> 1.1\"}", &one), ["version-conflict"]);
    assert_eq!(said("{:x, \"~> 1.1\"}", &one), ["not-locked"]);
    assert_eq!(said("{:b, git: \"https://example.org/b.git\"}", &one), ["lock-mismatch"]);
    assert_eq!(said("{:b, \"~> 1.0\", organization: \"acme\"}", &one), ["lock-mismatch"]);
    assert_eq!(said("{:b, \"~> 1.0\"}", "%{\"b\": System.halt()}"), ["lock-code"]);
    // What overrides is what is taken.
    let mix = "def project do [app: :shop, deps: [{:a, \"~> 1.0\"}, {:b, \"~> 1.0\", override: true}]] end";
    ready(ask("", &[], &[("mix.exs", mix), ("mix.lock", &one)]));
    let missing = lock(&[hex("a", "1.0.0", "{:b, \"~> 2.0\", [hex: :b, optional: false]}")]);
    assert_eq!(said("{:a, \"~> 1.0\"}", &missing), ["not-locked"]);
    let circle = lock(&[
        hex("a", "1.0.0", "{:b, nil, [hex: :b, optional: false]}"),
        hex("b", "1.0.0", "{:a, nil, [hex: :a, optional: false]}"),
    ]);
    assert_eq!(said("{:a, \"~> 1.0\"}", &circle), ["dependency-cycle"]);
    let Answer::Refused(problems) = ask(
        "",
        &[],
        &[
            ("mix.exs", "def project do [app: :shop, deps: [a: \"~> 1.0\"]] end"),
            ("mix.lock", &one),
        ],
    ) else {
        panic!("not refused")
    };
    let Place::InFile(span) = &problems[0].place else { panic!("no place") };
    assert_eq!(span.path, "mix.lock");
    assert!(one[span.start as usize..span.end as usize].starts_with("\"a\": {:hex"));
}

#[test]
fn what_is_computed_is_asked_of_mix() {
    let mix = "def project do [app: :shop, deps: deps() ++ more()] end";
    let lock = lock(&[hex("a", "1.0.0", "")]);
    let files = [("mix.exs", mix), ("mix.lock", lock.as_str())];
    let facts = "[app: :shop, elixirc_paths: [\"lib\"], deps: [{:a, \"~> 1.0\", []}], releases: :computed]\n";
    let proposal = ready(ask_with("", &[], &files, &[("facts", "facts.exs", facts)]));
    assert_eq!(own_names(&proposal), ["tools", "dep-a", "release"]);
    let nonsense = ask_with("", &[], &files, &[("facts", "facts.exs", "[deps: :computed]")]);
    assert_eq!(refused(nonsense), ["unreadable-project"]);
}

#[test]
fn a_git_dependency() {
    let revision = &SHA[..40];
    let mix = "def project do [app: :shop, deps: [{:tool, github: \"acme/tool\", tag: \"v1\", subdir: \"elixir\"}]] end";
    let tool = format!(
        "  \"tool\": {{:git, \"https://github.com/acme/tool.git\", \"{revision}\", [tag: \"v1\", subdir: \"elixir\"]}},\n"
    );
    let lock = lock(&[tool, hex("a", "1.0.0", "")]);
    let files = [("mix.exs", mix), ("mix.lock", lock.as_str())];
    let inside = "def project do [app: :tool, deps: [{:a, \"~> 1.0\"}, {:test_only, \"~> 1.0\", only: :test}]] end";
    let proposal = ready(ask_with("", &[], &files, &[("git-tool", "elixir/mix.exs", inside)]));
    assert_eq!(own_names(&proposal), ["tools", "dep-a", "dep-tool", "release"]);
    let package = written(step(&proposal, "dep-tool"), "package.exs");
    assert!(
        package.contains(
            "{:tool, [git: \"https://github.com/acme/tool.git\", tag: \"v1\", subdir: \"elixir\"]}"
        ),
        "{package}"
    );
    let beside = "def project do [app: :tool, deps: [{:b, path: \"../b\"}]] end";
    assert_eq!(
        refused(ask_with("", &[], &files, &[("git-tool", "elixir/mix.exs", beside)])),
        ["path-in-git"]
    );
    let outside = |text: &str| text.replace("\"elixir\"", "\"../x\"");
    let files_outside = [("mix.exs", outside(mix)), ("mix.lock", outside(&lock))];
    let files_outside = files_outside.each_ref().map(|(path, text)| (*path, text.as_str()));
    assert_eq!(refused(ask_with("", &[], &files_outside, &[])), ["outside-workspace"]);
    // Where it isn't literal, Mix is asked about what was fetched.
    let computed = [
        ("git-tool", "elixir/mix.exs", "def project, do: computed()\n"),
        ("facts--exflow-deps-tool-elixir-f3e647459829cf15", "facts.exs", "[app: :tool, deps: []]"),
    ];
    let proposal = ready(ask_with("", &[], &files, &computed));
    assert_eq!(own_names(&proposal), ["tools", "dep-tool", "release"]);
}

/// What is declared and not read would be taken for a name.
#[test]
fn every_setting_that_is_declared_is_read() {
    let mix = "def project do [app: :a] end";
    for setting in describe().into_iter().filter(|setting| setting.kind == SettingKind::Text) {
        let settings = [(setting.name.as_str(), "Not a value of it")];
        let codes = refused(ask("", &settings, &[("mix.exs", mix)]));
        assert_eq!(codes[0], "wrong-setting", "{}", setting.name);
    }
}

/// `exflow::mix-release::not-utf8`
#[test]
fn a_file_in_another_encoding() {
    let request = Request {
        project: "shop".to_owned(),
        root: String::new(),
        platform: "linux/amd64".to_owned(),
        settings: Vec::new(),
        files: Vec::new(),
        folders: Vec::new(),
        made: Vec::new(),
    };
    let put = |path: &str, text: &[u8]| File { path: path.into(), contents: Some(text.to_vec()) };
    for files in [
        vec![put("mix.exs", b"# \xe9\n")],
        vec![put("mix.exs", SIMPLE.as_bytes()), put("mix.lock", b"%{\xff}")],
    ] {
        let mut request = Request { files, ..request.clone() };
        let answer = loop {
            let Answer::Need(needs) = propose(&request) else { break propose(&request) };
            let files = needs.files.into_iter().map(|path| File { path, contents: None });
            request.files.extend(files);
            let folders = needs.folders.into_iter().map(|path| Folder { path, entries: None });
            request.folders.extend(folders);
        };
        assert_eq!(refused(answer), ["not-utf8"]);
    }
}

#[test]
fn configuration_and_sources_beside_mix_exs() {
    let mix = "def project, do: [app: :shop, deps: [], config_path: \"./config.exs\", elixirc_paths: [\".\"]]";
    for (root, expected) in [("", ["**", "*.exs"]), ("svc", ["svc", "svc/*.exs"])] {
        let path = if root.is_empty() { "mix.exs" } else { "svc/mix.exs" };
        let proposal = ready(ask(root, &[], &[(path, mix)]));
        let sources = &step(&proposal, "release").sources;
        assert!(
            expected.iter().all(|path| sources.iter().any(|found| found == path)),
            "{sources:?}"
        );
    }
}

#[test]
fn what_cannot_be_built_is_refused_all_at_once() {
    let mix = "def project do [app: :a, deps: [{:b, \"~> 1.0\"}, {:c, path: \"../../c\"}, {:d, \"~> 1\", only: :dev}]] end";
    let codes =
        refused(ask("", &[("mix-env", "NO"), ("compile-config", "x")], &[("mix.exs", mix)]));
    assert_eq!(codes, ["wrong-setting", "wrong-setting", "not-locked", "outside-workspace"]);
    let Answer::Refused(problems) = ask("", &[], &[("mix.exs", mix)]) else { panic!() };
    let Place::InFile(span) = &problems[0].place else { panic!("no place") };
    assert_eq!(&mix[span.start as usize..span.end as usize], "{:b, \"~> 1.0\"}");
    assert_eq!(refused(ask("", &[], &[])), ["no-mix-exs"]);
}

#[test]
fn an_application_of_an_umbrella_by_itself() {
    let web = "def project do [app: :web, build_path: \"../../_build\", config_path: \"../../config/config.exs\", lockfile: \"../../mix.lock\", deps: [{:db, in_umbrella: true}]] end";
    let files = [("apps/web/mix.exs", web), ("apps/db/mix.exs", "def project do [app: :db] end")];
    let proposal = ready(ask("apps/web", &[], &files));
    assert_eq!(own_names(&proposal), ["tools", "app-db", "release"]);
    let config = step(&proposal, "configured");
    for source in ["config", "mix.lock", "apps/web/mix.exs"] {
        assert!(config.sources.contains(&source.to_owned()), "{source}: {:?}", config.sources);
    }
    let release = step(&proposal, "release");
    assert!(release.sources.contains(&"config".to_owned()));
    assert!(release.sources.contains(&"apps/db/lib".to_owned()));
}

#[test]
fn files_that_a_release_names_and_configuration_that_is_never_read() {
    let mix = "def project do [app: :a, deps: [{:b, path: \"b\"}, {:c, path: \"c\", only: :staging}], releases: [a: [rel_templates_path: \"deploy\", overlays: [\"x\", \"y\"]]]] end";
    let dep = |app: &str| format!("def project do [app: :{app}] end");
    let (b, c) = (dep("b"), dep("c"));
    let files = [("mix.exs", mix), ("b/mix.exs", &b), ("c/mix.exs", &c)];
    let proposal = ready(ask("", &[], &files));
    let (config, release) = (step(&proposal, "configured"), step(&proposal, "release"));
    for source in ["deploy", "x", "y", "!config/dev.exs", "!config/test.exs"] {
        assert!(release.sources.contains(&source.to_owned()), "{source}");
    }
    assert!(config.sources.contains(&"!config/runtime.exs".to_owned()));
    assert!(!release.sources.contains(&"!config/runtime.exs".to_owned()));
    assert!(!names(&proposal).contains(&"app-c"));
    let proposal = ready(ask("", &[("mix-env", "staging")], &files));
    assert!(names(&proposal).contains(&"app-c"));
}

/// What rebar3 is, and what it would fetch by itself.
#[test]
fn rebar3_and_its_plugins() {
    let erlang = |app: &str| hex(app, "1.0.0", "").replace("[:mix]", "[:rebar3]");
    let dep = "{:more, \"~> 1.0\", [hex: :more, repo: \"hexpm\", optional: false]}";
    let entries = [
        erlang("jiffy"),
        hex("pc", "1.0.0", dep).replace("[:mix]", "[:rebar3]"),
        erlang("more"),
        hex("jason", "1.0.0", ""),
    ];
    let lock = lock(&entries);
    let mix = "def project do [app: :shop, deps: [{:jiffy, \"~> 1.0\"}, {:pc, \"~> 1.0\", runtime: false}, {:jason, \"~> 1.0\"}]] end";
    let files = [("mix.exs", mix), ("mix.lock", lock.as_str())];
    let rebar3 = [
        ("rebar3", "https://example.org/rebar3"),
        ("rebar3-sha256", SHA),
        ("rebar3-plugins", "jiffy: pc"),
    ];
    let proposal = ready(ask("", &rebar3, &files));
    let fetches: Vec<&str> = proposal.fetches.iter().map(|fetch| fetch.name.as_str()).collect();
    assert_eq!(fetches, ["hex-jason", "hex-jiffy", "hex-more", "hex-pc", "rebar3"]);
    let seen = |name: &str| -> Vec<(u32, &str)> {
        let uses = step(&proposal, name).uses.iter();
        let fetched = uses.filter_map(|used| match used.what {
            UsedThing::Fetched(fetch) => Some((fetch, used.at.as_str())),
            UsedThing::Output(_) => None,
        });
        fetched.collect()
    };
    assert_eq!(
        seen("dep-jiffy"),
        [
            (1, "_exflow/deps/jiffy"),
            (2, "_exflow/plugins/more"),
            (3, "_exflow/plugins/pc"),
            (4, "_exflow/rebar3")
        ]
    );
    assert_eq!(seen("dep-pc"), [(3, "_exflow/deps/pc"), (4, "_exflow/rebar3")]);
    // What Mix builds has nothing of either.
    assert_eq!(seen("dep-jason"), [(0, "_exflow/deps/jason")]);
    let package = written(step(&proposal, "dep-jiffy"), "package.exs");
    assert!(
        package.contains("rebar3_plugins: [{\"more\", \"more\"}, {\"pc\", \"pc\"}]"),
        "{package}"
    );
    assert!(!written(step(&proposal, "dep-pc"), "package.exs").contains("rebar3"));
    // Where nothing needs it, it isn't fetched.
    let mix = "def project do [app: :shop, deps: [{:jason, \"~> 1.0\"}]] end";
    let proposal = ready(ask("", &rebar3[..2], &[("mix.exs", mix), files[1]]));
    assert_eq!(proposal.fetches.len(), 1);
    // What can't be told.
    let refused = |settings: &[(&str, &str)]| refused(ask("", settings, &files)).join(" ");
    assert_eq!(refused(&rebar3[..1]), "unpinned-rebar3");
    assert_eq!(refused(&rebar3[1..2]), "wrong-setting");
    assert_eq!(refused(&[("rebar3", "file:///bin/sh"), rebar3[1]]), "wrong-setting");
    assert_eq!(refused(&[rebar3[0], ("rebar3-sha256", "12")]), "wrong-setting");
    assert_eq!(refused(&[("rebar3-plugins", "pc")]), "wrong-setting");
    assert_eq!(refused(&[("rebar3-plugins", "jiffy: gone")]), "unknown-rebar3-plugin");
}

#[test]
fn what_is_distillerys_is_not_read() {
    let mix = "def project do [app: :shop, deps: [{:distillery, \"~> 2.1\"}]] end";
    let lock = lock(&[hex("distillery", "2.1.1", "")]);
    let mut files = vec![("mix.exs", mix), ("mix.lock", lock.as_str())];
    assert!(ready(ask("", &[], &files)).warnings.is_empty());
    files.push(("rel/config.exs", "environment :prod do\nend"));
    let warnings = ready(ask("", &[], &files)).warnings;
    assert_eq!(warnings[0].code, "two-release-tools");
}

/// What the start script does has to be said in the image: nobody finds anything out when it starts.
#[test]
fn an_image_without_a_shell() {
    let mut request = Request {
        project: "shop".to_owned(),
        root: "shop".to_owned(),
        platform: "linux/amd64".to_owned(),
        settings: vec![Setting { name: "shell".to_owned(), value: Scalar::Flag(false) }],
        files: Vec::new(),
        folders: Vec::new(),
        made: Vec::new(),
    };
    let mix = "def project, do: [app: :shop, deps: []]";
    for (path, text) in [
        ("shop/mix.exs", Some(mix)),
        ("shop/mix.lock", None),
        ("shop/rel/env.sh.eex", Some("export A=b\n")),
    ] {
        let contents = text.map(|text| text.as_bytes().to_vec());
        request.files.push(File { path: path.to_owned(), contents });
    }
    let proposal = ready(propose(&request));
    let image = proposal.image.expect("an image");
    assert_eq!(image.entrypoint[0], "/app/erts/bin/erlexec");
    assert_eq!(image.entrypoint.last().map(String::as_str), Some("-extra"));
    assert_eq!(image.command, ["--no-halt"]);
    let value =
        |name: &str| image.env.iter().find(|pair| pair.name == name).map(|pair| &*pair.value);
    assert_eq!(value("ROOTDIR"), Some("/app"));
    assert_eq!(value("RELEASE_SYS_CONFIG"), Some("/app/releases/current/sys"));
    assert!(image.env.is_sorted_by(|one, other| one.name < other.name));
    let code = format!("exflow::mix-release::{}", proposal.warnings[0].code);
    assert_eq!(code, "exflow::mix-release::no-shell");
    assert!(proposal.steps[0].argv[2].contains("rm -rf \"$release/bin\""));
}
