//! What comes from outside when a plan is done: bases, packages of sources, single files.

use super::Engine;
use super::failed::Failed;
use crate::images::OpenImage;
use crate::ui::Shown;
use exflow_content::Digest;
use exflow_diagnostics::Diagnostics;
use exflow_fetch::debian::fetch_base;
use exflow_fetch::image::fetch_image;
use exflow_fetch::{
    AddedApks, FetchError, add_alpine, add_debian, fetch_git, fetch_hex, fetch_remote_file,
};
use exflow_lock::{AddedPackages, ImageSource, LockedImage, Platform};
use exflow_plan::{Origin, PlannedBase, PlannedRoot, Step};
use exflow_registry::Login;
use exflow_store::Record;

impl Engine<'_> {
    /// The trees of a base, which are on the disk and recorded when this is done.
    pub(crate) fn run_base(&self, base: &PlannedBase, step: &Step) -> Result<Vec<Digest>, Failed> {
        let store = &self.prepared.store;
        let progress = Shown(self.ui);
        let trees = match &base.root {
            PlannedRoot::Debian { debian, slim } => {
                let mirrors = self.prepared.places.debian();
                fetch_base(self.client, store, debian, *slim, &base.platform, &mirrors, &progress)
                    .map(|tree| vec![tree])
            }
            PlannedRoot::Image { image, named, source } => {
                self.fetch_image(image, named, source, &base.platform)
            }
        };
        let trees = trees.map_err(|error| Failed::fetching(&error, step.site.as_ref()))?;
        store.sync()?;
        let record = Record { trees: trees.clone(), data: Vec::new() };
        store.put_record(&base_key(base), &record)?;
        Ok(trees)
    }

    /// The trees of a base that is an image: see [`PlannedBase::outputs`].
    fn fetch_image(
        &self,
        image: &LockedImage,
        named: &[String],
        source: &ImageSource,
        platform: &Platform,
    ) -> Result<Vec<Digest>, FetchError> {
        let store = &self.prepared.store;
        let places = &self.prepared.places;
        let login = Login::new(places.registries(), self.cancel.clone());
        let progress = Shown(self.ui);
        let fetched = OpenImage::open(source, places, &login, Some(image.config))
            .and_then(|open| fetch_image(self.client, store, image, &open, &progress))
            .map_err(|error| error.of_image(source.to_string()))?;
        let files = store.put_tree(&fetched.tree)?;
        let tree = match &image.packages {
            AddedPackages::None => files,
            AddedPackages::Debian(debian) => add_debian(
                self.client,
                store,
                &fetched.tree,
                debian,
                platform,
                &places.debian(),
                &progress,
            )?,
            AddedPackages::Alpine(locked) => {
                let mirror = places.alpine_mirror.as_deref();
                let apks = AddedApks { locked, named, mirror };
                add_alpine(self.client, store, &fetched.tree, apks, platform, &progress)?
            }
        };
        Ok(vec![tree, store.put_tree(&fetched.layers)?, files])
    }

    /// The tree of something from outside. It is on the disk, and recorded under its key, when this is done.
    pub(crate) fn fetch(&self, origin: &Origin, step: &Step) -> Result<Digest, Failed> {
        let store = &self.prepared.store;
        let progress = Shown(self.ui);
        let fetched = match origin {
            Origin::Hex(package) => {
                let places = self.hex.get_or_init(|| match self.prepared.places.hex() {
                    Ok(places) => Some(places),
                    Err(failure) => {
                        // Once, and not for each package.
                        self.failures().push(failure.into());
                        None
                    }
                });
                let places = places.as_ref().ok_or(Failed::Problems(Diagnostics::new()))?;
                fetch_hex(self.client, store, package, places, &progress)
            }
            Origin::Git(source) => fetch_git(self.client, store, source, &progress),
            Origin::File(file) => fetch_remote_file(self.client, store, file, &progress),
        };
        fetched.map_err(|error| Failed::fetching(&error, step.site.as_ref()))
    }
}

/// The key of a base.
pub(crate) fn base_key(base: &PlannedBase) -> Digest {
    match &base.root {
        PlannedRoot::Debian { debian, slim } => {
            exflow_packages::debian::base_key(debian, *slim, &base.platform)
        }
        PlannedRoot::Image { image, named, .. } => {
            exflow_image::image_base_key(image, named, &base.platform)
        }
    }
}
