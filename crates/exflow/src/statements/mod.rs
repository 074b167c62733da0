//! What is said of an image: looked up in the store and in the plan, and printed by `exflow-statements`.

mod bill;
mod provenance;

pub(crate) use bill::bill;
pub(crate) use provenance::provenance;

use exflow_lock::{ImageSource, LockedImage, Platform};
use exflow_registry::BaseReference;

/// An image as a package URL, where it is one in a registry: others know it by nothing else.
fn image_purl(source: &ImageSource, locked: &LockedImage, platform: &Platform) -> Option<String> {
    let ImageSource::Registry(name) = source else { return None };
    let reference: BaseReference = name.parse().ok()?;
    let repository = format!("{}/{}", reference.registry(), reference.repository());
    exflow_statements::image(&repository, locked.manifest.as_ref()?, platform)
}
