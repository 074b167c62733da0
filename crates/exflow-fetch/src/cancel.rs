use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish to stop, which everything that takes long looks at now and then.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    wished: Arc<AtomicBool>,
    /// The wish to stop something larger, which this is a part of.
    larger: Option<Arc<Cancel>>,
}

impl Cancel {
    /// Nobody wishes to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A wish to stop a part: it stops with the whole, and the whole goes on without it.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { wished: Arc::default(), larger: Some(Arc::new(self.clone())) }
    }

    /// Wishes to stop.
    pub fn cancel(&self) {
        self.wished.store(true, Ordering::SeqCst);
    }

    /// Whether someone wishes to stop.
    pub fn is_cancelled(&self) -> bool {
        self.wished.load(Ordering::SeqCst)
            || self.larger.as_ref().is_some_and(|larger| larger.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stops_with_the_whole() {
        let whole = Cancel::new();
        let (part, other) = (whole.part(), whole.part());
        part.cancel();
        assert!(part.is_cancelled() && !other.is_cancelled() && !whole.is_cancelled());
        whole.clone().cancel();
        assert!(other.is_cancelled());
    }
}
