//! Every problem that this crate reports, by code.

macro_rules! codes {
    ($($name:ident = $code:literal),* $(,)?) => {
        $(pub(crate) const $name: &str = $code;)*
        /// Every code that this crate gives.
        pub const CODES: &[&str] = &[$($name),*];
    };
}

codes! {
    SYNTAX = "exflow::manifest::syntax",
    TOO_LARGE = "exflow::manifest::too-large",
    UNKNOWN_NODE = "exflow::manifest::unknown-node",
    UNKNOWN_PROPERTY = "exflow::manifest::unknown-property",
    WRONG_ARGUMENTS = "exflow::manifest::wrong-arguments",
    WRONG_VALUE = "exflow::manifest::wrong-value",
    MISSING_NODE = "exflow::manifest::missing-node",
    DUPLICATE = "exflow::manifest::duplicate",
    UNKNOWN_BASE = "exflow::manifest::unknown-base",
    UNKNOWN_PLUGIN = "exflow::manifest::unknown-plugin",
    UNKNOWN_STAGE = "exflow::manifest::unknown-stage",
    CYCLE = "exflow::manifest::cycle",
    MISPLACED = "exflow::manifest::misplaced",
    NO_PROJECT = "exflow::manifest::no-project",
    NO_MEMBER = "exflow::manifest::no-member",
}
