//! Resolves, fetches and lays out a Debian base from the host's own apt sources:
//! `cargo run --example debian_base STORE SUITE full|slim PACKAGE…`.
#![expect(clippy::print_stdout, reason = "an example for the terminal")]

use exflow_fetch::debian::{
    Keyring, NamedMirrors, SNAPSHOT, apt_sources, fetch_base, find_mirrors, load_catalog,
};
use exflow_fetch::{Cancel, Client, HttpOptions};
use exflow_lock::{Platform, RequestedDebian};
use exflow_store::Store;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("STORE SUITE full|slim PACKAGE…");
    let store = Store::open(next()?)?;
    let suite = next()?;
    let slim = next()? == "slim";
    let packages = arguments.collect();
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let apt = apt_sources(Path::new("/etc/apt"));
    let mirrors =
        find_mirrors(NamedMirrors::default(), NamedMirrors::default(), &apt, Some(SNAPSHOT));
    let platform = Platform::LinuxAmd64;
    let begun = Instant::now();
    let catalog =
        load_catalog(&client, &store, &mirrors, &suite, &platform, &Keyring::debian(), &())?;
    println!("indexes: {:?}", begun.elapsed());
    let begun = Instant::now();
    let requested = RequestedDebian { suite, slim, packages };
    let debian = exflow_packages::debian::resolve(&requested, &catalog, None)
        .map_err(|problem| format!("{problem:?}"))?;
    drop(catalog);
    println!("resolved {} packages: {:?}", debian.packages.len(), begun.elapsed());
    for package in &debian.packages {
        println!("  {} {}", package.name, package.version);
    }
    let begun = Instant::now();
    let tree = fetch_base(&client, &store, &debian, slim, &platform, &mirrors, &())?;
    let laid_out = store.tree(&tree)?;
    println!(
        "fetched: {:?}; {} entries, {} bytes",
        begun.elapsed(),
        laid_out.len(),
        laid_out.size()
    );
    let begun = Instant::now();
    println!("{}: {:?}", store.checkout(&tree)?.display(), begun.elapsed());
    Ok(())
}
