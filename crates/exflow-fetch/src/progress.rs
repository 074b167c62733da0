/// Is told how far something is. Nothing here knows how that is shown.
pub trait Progress: Sync {
    /// Something with this name began; it is `total` bytes long, or 0 where nobody knows.
    fn begin(&self, name: &str, total: u64);
    /// It went on by so many bytes.
    fn advance(&self, name: &str, bytes: u64);
    /// It ended, well or not.
    fn end(&self, name: &str);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
}
