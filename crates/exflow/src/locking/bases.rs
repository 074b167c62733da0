//! What bases mean today: their packages and images, to be locked.

use super::{Locking, would_move};
use crate::images::OpenImage;
use crate::inputs::{platform, site};
use crate::places::{Places, http, keyring};
use crate::report::Failure;
use crate::ui::{Shown, Ui};
use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Diagnostics, Site};
use exflow_fetch::debian::load_catalog;
use exflow_fetch::image::fetch_image;
use exflow_fetch::{AlpineSystem, Client, FetchError, System};
use exflow_lock::{
    AddedPackages, Change, Difference, InputKind, Lock, LockedAlpine, LockedBase, LockedDebian,
    LockedImage, LockedRoot, Platform, RequestedBase, RequestedDebian, RequestedImage, Wanted,
    package_changes,
};
use exflow_manifest::{BaseSource, Workspace};
use exflow_packages::alpine;
use exflow_packages::debian::{self, Catalog, Installed, STATUS};
use exflow_registry::Login;
use exflow_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Locks the bases `names` as they are now, for the platform that is `wanted`. Each one that can't be resolved is a
/// problem.
pub(super) fn lock(
    locking: &mut Locking<'_>,
    wanted: Wanted,
    names: &BTreeSet<String>,
) -> Result<(), Failure> {
    let Locking { session, workspace, held, lock, problems, cancel } = locking;
    let store = session.store()?;
    let places = Places::of(workspace, &session.root);
    let mut resolver = Resolver {
        ui: &session.ui,
        workspace,
        held,
        wanted,
        client: Client::new(http(false), cancel.clone()),
        login: Login::new(places.registries(), cancel.clone()),
        places,
        store,
        problems,
    };
    // By suite, because the list of a suite's packages is large: one at a time.
    let mut suites: BTreeMap<String, Vec<(&String, RequestedDebian)>> = BTreeMap::new();
    let mut images: Vec<(&String, RequestedImage)> = Vec::new();
    for name in names {
        match resolver.wanted.bases[name].clone() {
            RequestedBase::Debian(debian) => {
                suites.entry(debian.suite.clone()).or_default().push((name, debian));
            }
            RequestedBase::Image(image) => images.push((name, image)),
        }
    }
    for (suite, bases) in suites {
        resolver.debian(lock, &suite, bases)?;
    }
    for (name, image) in images {
        resolver.image(lock, name, &image)?;
    }
    Ok(())
}

struct Resolver<'a> {
    ui: &'a Ui,
    workspace: &'a Workspace,
    held: &'a Lock,
    wanted: Wanted,
    client: Client,
    login: Login,
    places: Places,
    store: Store,
    problems: &'a mut Diagnostics,
}

impl<'a> Resolver<'a> {
    /// Takes an error that is to be shown with the others.
    fn failed(&mut self, error: &FetchError, site: Option<&Site>) -> Result<(), Failure> {
        if matches!(error, FetchError::Cancelled) {
            return Err(Failure::Interrupted);
        }
        self.add_problems([exflow_fetch::diagnose(error, site)]);
        Ok(())
    }

    /// Takes problems that are to be shown with the others; they say for which platform they are, where it isn't this one.
    fn add_problems(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        let elsewhere = self.elsewhere().map(|platform| format!("for {platform}: "));
        let elsewhere = elsewhere.unwrap_or_default();
        self.problems.extend(found.into_iter().map(|problem| {
            let message = format!("{elsewhere}{}", problem.message);
            Diagnostic { message, ..problem }
        }));
    }

    /// The platform, where it isn't this one.
    fn elsewhere(&self) -> Option<&Platform> {
        Some(&self.wanted.platform).filter(|wanted| **wanted != platform())
    }

    /// A base, and the platform where it isn't this one.
    fn whose(&self, name: &str) -> String {
        let elsewhere = self.elsewhere().map(|platform| format!(" for {platform}"));
        format!("base `{name}`{}", elsewhere.unwrap_or_default())
    }

    /// Where a base is declared.
    fn site(&self, name: &str) -> Option<&'a Site> {
        site(self.workspace, &InputKind::Base.named(name))
    }

    /// Where a package of a base is named; where it isn't one, or isn't named, where the base is declared.
    fn package_site(&self, name: &str, package: Option<&str>) -> Option<Site> {
        let packages = self.workspace.bases.get(name).map(|base| &base.packages);
        let named = packages.into_iter().flatten().find(|it| Some(&*it.value) == package);
        named.map(|package| &package.site).or(self.site(name)).cloned()
    }

    /// What the lock holds on to of a base, on the platform that it is resolved for.
    fn held_root(&self, name: &str) -> Option<LockedRoot> {
        let old = self.held.bases.get(name)?;
        let holds = old.requested.holds_for(&self.wanted.bases[name]);
        old.locked.get(&self.wanted.platform).filter(|_| holds).cloned()
    }

    fn debian(
        &mut self,
        lock: &mut Lock,
        suite: &str,
        bases: Vec<(&String, RequestedDebian)>,
    ) -> Result<(), Failure> {
        let catalog = match self.catalog(suite)? {
            Ok(catalog) => catalog,
            Err(error) => {
                let base = bases.first().and_then(|(name, _)| self.workspace.bases.get(*name));
                let site = base.map(|base| match &base.source {
                    BaseSource::Debian { suite, .. } => &suite.site,
                    BaseSource::Image(_) => &base.site,
                });
                return self.failed(&error, site);
            }
        };
        for (name, requested) in bases {
            let old = match self.held_root(name) {
                Some(LockedRoot::Debian(old)) => Some(old),
                _ => None,
            };
            match debian::resolve(&requested, &catalog, old.as_ref()) {
                Ok(debian) => {
                    let packages = debian.packages.len();
                    let whose = self.whose(name);
                    self.ui.tell("resolved", &format!("{whose}: {packages} packages"));
                    self.put(lock, name, LockedRoot::Debian(debian));
                }
                Err(unsolvable) => {
                    let site = |package: Option<&str>| self.package_site(name, package);
                    self.add_problems(debian::diagnose(&unsolvable, suite, site));
                }
            }
        }
        Ok(())
    }

    /// The packages of a suite.
    fn catalog(&self, suite: &str) -> Result<Result<Catalog, FetchError>, Failure> {
        self.ui.tell("indexing", suite);
        let (mirrors, keyring) = (self.places.debian(), keyring()?);
        let progress = Shown(self.ui);
        let platform = &self.wanted.platform;
        Ok(load_catalog(&self.client, &self.store, &mirrors, suite, platform, &keyring, &progress))
    }

    fn put(&self, lock: &mut Lock, name: &str, root: LockedRoot) {
        let requested = self.wanted.bases[name].clone();
        let mut locked = match lock.bases.remove(name) {
            // Other platforms stay as they are while the request does.
            Some(old) if old.requested == requested => old.locked,
            _ => BTreeMap::new(),
        };
        locked.insert(self.wanted.platform.clone(), root);
        lock.bases.insert(name.to_owned(), LockedBase { requested, locked });
    }

    fn image(
        &mut self,
        lock: &mut Lock,
        name: &str,
        requested: &RequestedImage,
    ) -> Result<(), Failure> {
        let site = self.site(name);
        // An image that is locked stays what it is while packages are added to it.
        let mut image = match self.held_root(name) {
            Some(LockedRoot::Image(image)) => *image,
            _ => match self.find(requested, self.held_index(lock, name).as_ref()) {
                Ok(image) => image,
                Err(error) => return self.failed(&error, site),
            },
        };
        let old = std::mem::replace(&mut image.packages, AddedPackages::None);
        let id = image.manifest.unwrap_or(image.config);
        let told = format!("{}: {} is sha256:{id}", self.whose(name), requested.source);
        self.ui.tell("resolved", &told);
        if !requested.packages.is_empty() {
            match self.added(name, requested, &image, old)? {
                Some(added) => image.packages = added,
                None => return Ok(()),
            }
        }
        self.put(lock, name, LockedRoot::Image(Box::new(image)));
        Ok(())
    }

    /// The packages that are added to an image; none where that has problems, which are noted.
    fn added(
        &mut self,
        name: &str,
        requested: &RequestedImage,
        image: &LockedImage,
        old: AddedPackages,
    ) -> Result<Option<AddedPackages>, Failure> {
        let site = self.site(name);
        match self.system(requested, image) {
            Ok(System::Debian { suite, installed }) => {
                let old = match old {
                    AddedPackages::Debian(old) => Some(old),
                    _ => None,
                };
                let debian =
                    self.added_debian(name, requested, &suite, &installed, old.as_ref())?;
                Ok(debian.map(AddedPackages::Debian))
            }
            Ok(System::Alpine(system)) => {
                let old = match old {
                    AddedPackages::Alpine(old) => Some(old),
                    _ => None,
                };
                let alpine = self.added_alpine(name, requested, &system, old.as_ref())?;
                Ok(alpine.map(AddedPackages::Alpine))
            }
            Err(error) => self.failed(&error, site).map(|()| None),
        }
    }

    fn added_alpine(
        &mut self,
        name: &str,
        requested: &RequestedImage,
        system: &AlpineSystem,
        old: Option<&LockedAlpine>,
    ) -> Result<Option<LockedAlpine>, Failure> {
        let site = self.site(name);
        self.ui.tell("indexing", system.release());
        let mirror = self.places.alpine_mirror.clone();
        let catalog = match system.catalog(&self.client, mirror.as_deref()) {
            Ok(catalog) => catalog,
            Err(error) => return self.failed(&error, site).map(|()| None),
        };
        let installed = &system.installed.packages;
        let chosen = match alpine::resolve(&requested.packages, &catalog, installed, old) {
            Ok(chosen) => chosen,
            Err(unsolvable) => {
                let site = |package: Option<&str>| self.package_site(name, package);
                self.add_problems(alpine::diagnose(&unsolvable, system.release(), site));
                return Ok(None);
            }
        };
        // Locking them is downloading them: nothing is that may not be locked.
        let held = old.iter().flat_map(|old| &old.packages);
        let held = held.map(|apk| (&*apk.name, &*apk.version, apk.checksum.clone()));
        let now = chosen.iter().map(|apk| (&*apk.name, &*apk.version, apk.checksum.to_string()));
        let mut changes = package_changes(held, now);
        changes.retain(Change::is_move);
        if !changes.is_empty() {
            let (input, platform) = (InputKind::Base.named(name), self.wanted.platform.clone());
            let difference = Difference { input, platform: Some(platform), changes };
            self.problems.push(would_move(self.workspace, &difference));
            return Ok(None);
        }
        let progress = Shown(self.ui);
        let mirror = mirror.as_deref();
        let locked = system.lock(&self.client, &self.store, &chosen, mirror, old, &progress);
        match locked {
            Ok(locked) => {
                let told =
                    format!("{}: {} packages are added", self.whose(name), locked.packages.len());
                self.ui.tell("resolved", &told);
                Ok(Some(locked))
            }
            Err(error) => self.failed(&error, site).map(|()| None),
        }
    }

    /// Looks into an image for what manages its packages. It is fetched for that.
    fn system(
        &self,
        requested: &RequestedImage,
        image: &LockedImage,
    ) -> Result<System, FetchError> {
        let of_image = |error: FetchError| error.of_image(requested.source.to_string());
        if let Some(platform) = self.elsewhere() {
            let told = format!("{} for {platform}, to add packages to it", requested.source);
            self.ui.tell("looking into", &told);
        }
        let open =
            OpenImage::open(&requested.source, &self.places, &self.login, Some(image.config));
        let progress = Shown(self.ui);
        let fetched = open
            .and_then(|open| fetch_image(&self.client, &self.store, image, &open, &progress))
            .map_err(of_image)?;
        System::of(&self.store, &fetched.tree, &self.wanted.platform).map_err(of_image)
    }

    fn added_debian(
        &mut self,
        name: &str,
        requested: &RequestedImage,
        suite: &str,
        installed: &Installed,
        old: Option<&LockedDebian>,
    ) -> Result<Option<LockedDebian>, Failure> {
        let mut catalog = match self.catalog(suite)? {
            Ok(catalog) => catalog,
            Err(error) => {
                let site = self.site(name);
                return self.failed(&error, site).map(|()| None);
            }
        };
        if let Err(error) = catalog.add_installed(installed) {
            let (what, reason) = (STATUS.to_owned(), error.to_string());
            let error =
                FetchError::Database { what, reason }.of_image(requested.source.to_string());
            let site = self.site(name);
            return self.failed(&error, site).map(|()| None);
        }
        let added = debian::resolve_added(&requested.packages, &catalog, installed, old);
        match added {
            Ok(debian) => {
                let packages = debian.packages.len();
                let told = format!("{}: {packages} packages are added", self.whose(name));
                self.ui.tell("resolved", &told);
                Ok(Some(debian))
            }
            Err(unsolvable) => {
                let site = |package: Option<&str>| self.package_site(name, package);
                self.add_problems(debian::diagnose(&unsolvable, suite, site));
                Ok(None)
            }
        }
    }

    /// The index by which an image was found that is locked for another platform, perhaps just now.
    fn held_index(&self, lock: &Lock, name: &str) -> Option<Sha256> {
        let known = lock.bases.get(name)?;
        let holds = known.requested.holds_for(&self.wanted.bases[name]);
        known.locked.values().filter(|_| holds).find_map(|root| match root {
            LockedRoot::Image(image) => image.index,
            LockedRoot::Debian(_) => None,
        })
    }

    /// Looks an image up.
    fn find(
        &self,
        requested: &RequestedImage,
        index: Option<&Sha256>,
    ) -> Result<LockedImage, FetchError> {
        self.ui.tell("looking up", &requested.source.to_string());
        let open = OpenImage::open(&requested.source, &self.places, &self.login, None);
        open.and_then(|image| image.find(&self.client, &self.store, &self.wanted.platform, index))
            .map_err(|error| error.of_image(requested.source.to_string()))
    }
}
