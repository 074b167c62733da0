//! KDL text to manifests, and many manifests to one workspace.
