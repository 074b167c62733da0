//! The user of an image, by number.

/// Why a user can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the base has no user `{name}`")]
pub struct UserError {
    /// The name that was asked for.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

/// What an image's configuration says of `user`: `65534:65534` for `nobody`. Numbers, because
/// whoever runs an image can only tell from a number that it isn't root. `passwd` is the text of
/// the base's `/etc/passwd`.
pub fn resolve_user(user: &str, passwd: &str) -> Result<String, UserError> {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    if user.split(':').all(is_number) && user.split(':').count() <= 2 {
        return Ok(user.to_owned());
    }
    let mut known = Vec::new();
    for line in passwd.lines() {
        // passwd(5): name, password, user, group, and more.
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, uid, gid, ..] = fields.as_slice()
            && is_number(uid)
            && is_number(gid)
        {
            if *name == user {
                return Ok(format!("{uid}:{gid}"));
            }
            known.push((*name).to_owned());
        }
    }
    Err(UserError { name: user.to_owned(), known })
}
