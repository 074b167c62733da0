//! Images into a registry.

use crate::hello::{built_in_the_sandbox, hello, sharing};
use exflow_testkit::{DockerRegistry, Run, USER, Workspace, missing};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn started(auth: bool, test: &str) -> Option<DockerRegistry> {
    let registry = DockerRegistry::start(auth);
    if registry.is_none() {
        missing("docker-registry", test);
    }
    registry
}

/// The example, as it was built; nothing has to be built again.
fn workspace(registry: &str) -> Workspace {
    built_in_the_sandbox();
    sharing()
        .with_files_of(&hello())
        .env("EXFLOW_PLAIN_HTTP_REGISTRIES", registry)
        .env("DOCKER_CONFIG", "/nowhere")
}

/// What `build` says that it sent.
fn sent(run: &Run) -> Vec<u64> {
    let pushed = run.events().into_iter().filter(|event| event["event"] == "pushed");
    pushed.map(|event| event["sent_bytes"].as_u64().unwrap()).collect()
}

#[test]
fn an_image_goes_into_a_registry() {
    let Some(registry) = started(false, "an_image_goes_into_a_registry") else { return };
    let host = registry.host();
    let workspace = workspace(&host);
    let push = |output: &str, more: &[&str]| {
        let output = format!("registry={host}/{output}");
        let all: Vec<&str> =
            ["build", "--json", "--output", &output].iter().chain(more).copied().collect();
        workspace.ok(&all)
    };
    let (_, digest) = built_in_the_sandbox();
    let first = push("team/{project}:one", &["--tag", "two"]);
    for tag in ["one", "two"] {
        assert!(registry.has("team/hello", "tags", tag), "{tag}");
    }
    assert!(registry.has("team/hello", "manifests/revisions", &digest));
    let size = first.built()[0]["size_bytes"].as_u64().unwrap();
    let layers = sent(&first)[0];
    assert!(layers > size - 10_000 && layers <= size, "{layers} of {size}");
    // What is there is not sent again, nor what another repository has.
    assert_eq!(sent(&push("team/hello:one", &[])), [0]);
    assert_eq!(sent(&push("other", &[])), [0]);
    assert!(registry.has("other", "tags", "latest"));
    assert!(registry.has("other", "manifests/revisions", &digest));
}

#[test]
fn a_registry_that_asks_who_we_are() {
    let Some(registry) = started(true, "a_registry_that_asks_who_we_are") else { return };
    let host = registry.host();
    let output = format!("registry={host}/hello");
    let push = ["build", "--output", &output];
    let denied = workspace(&host).fails(&push, 1);
    denied.says(&["exflow::registry::denied", &host, "docker login"]);
    let with = |config: &str| {
        let workspace = workspace(&host);
        let folder = workspace.outside().join("docker");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
        workspace.env("DOCKER_CONFIG", folder.to_string_lossy())
    };
    // `user:wrong`, and then what `docker login` writes.
    let wrong = with(&format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjp3cm9uZw=="}}}}}}"#));
    wrong.fails(&push, 1).says(&["exflow::registry::denied"]);
    with(&format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#)).ok(&push);
    // A helper, as Docker calls it.
    let helped = with(&format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#));
    let helper = helped.outside().join("docker-credential-test");
    let (user, password) = USER;
    let script = format!(
        "#!/bin/sh\ncat > /dev/null; echo '{{\"Username\":\"{user}\",\"Secret\":\"{password}\"}}'\n"
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", helped.outside().display());
    let helped = helped.env("PATH", path);
    let said = helped.ok(&push);
    assert!(!said.stderr.contains(password), "{}", said.stderr);
    std::fs::write(&helper, "#!/bin/sh\ncat > /dev/null; echo broken; exit 1\n").unwrap();
    helped.fails(&push, 1).says(&["exflow::registry::credentials", "broken", "docker logout"]);
}

#[test]
fn registries_that_can_not_be_reached() {
    let nobody = workspace("127.0.0.1:1");
    let refused = nobody.fails(&["build", "--output", "registry=127.0.0.1:1/hello"], 1);
    refused.says(&["exflow::registry::unreachable", "127.0.0.1:1", "EXFLOW_PLAIN_HTTP_REGISTRIES"]);
    // It has no TLS, and nobody has said so.
    let Some(registry) = started(false, "registries_that_can_not_be_reached") else { return };
    let output = format!("registry={}/hello", registry.host());
    let refused = workspace("").fails(&["build", "--output", &output], 1);
    refused.says(&["exflow::registry::unreachable", "EXFLOW_PLAIN_HTTP_REGISTRIES"]);
}

/// Answers every request with this status, for as long as the test runs; where it is, and how often it
/// was asked for a blob.
fn answering(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            if request.contains("/blobs/") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (host, asked)
}

/// One that is busy is asked again, and given up at last; one that says no is not.
#[test]
fn registries_that_fail() {
    for (status, code, tries) in [
        ("429 Too Many Requests", "exflow::registry::refused", 4),
        ("403 Forbidden", "exflow::registry::denied", 1),
    ] {
        let (host, asked) = answering(status);
        let output = format!("registry={host}/hello");
        let run = workspace(&host).fails(&["build", "--output", &output], 1);
        run.says(&[code, &host, &status[..3]]);
        assert!(asked.load(Ordering::SeqCst) >= tries, "{status}");
    }
}

/// What was pushed is what other workspaces stand on, with the same credentials.
#[test]
fn a_pushed_image_is_a_base() {
    let Some(registry) = started(true, "a_pushed_image_is_a_base") else { return };
    let host = registry.host();
    let auth = format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#);
    let logged_in = |workspace: Workspace| {
        let folder = workspace.outside().join("docker");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.json"), &auth).unwrap();
        workspace.env("DOCKER_CONFIG", folder.to_string_lossy())
    };
    let (_, digest) = built_in_the_sandbox();
    let output = format!("registry={host}/team/hello:1");
    logged_in(workspace(&host)).ok(&["build", "--output", &output]);
    let manifest = format!(
        "base \"builder\" {{ image \"{host}/team/hello:1\" }}\n\
         project \"made\" {{ stage \"one\" {{ run \"mkdir out; ls /app > out/app\"; output \"out\" }} }}\n"
    );
    let other = || {
        Workspace::new(crate::EXFLOW)
            .with("exflow.kdl", &manifest)
            .env("EXFLOW_PLAIN_HTTP_REGISTRIES", &host)
            .env("DOCKER_CONFIG", "/nowhere")
    };
    other().fails(&["lock"], 1).says(&["exflow::fetch::denied", "docker login", &host]);
    let other = logged_in(other());
    let run = other.ok(&["build"]);
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
    let lock = other.read("exflow.lock");
    assert!(lock.contains(&format!("\"manifest\": \"{digest}\"")), "{lock}");
    assert!(!lock.contains("secret"), "{lock}");
}
