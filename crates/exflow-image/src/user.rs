//! The user of an image, by number.

/// Why a user, or a group, can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the base has no user or group `{name}`")]
pub struct UserError {
    /// The name that was asked for.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

/// What an image's configuration says of `user`: `65534:65534` for `nobody`. Numbers, because
/// whoever runs an image can only tell from a number that it isn't root. `passwd` and `group` are the
/// texts of the base's `/etc/passwd` and `/etc/group`; both may be named: `app:www-data`.
pub fn resolve_user(user: &str, passwd: &str, group: &str) -> Result<String, UserError> {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    // passwd(5): name, password, user, group, and more; group(5): name, password, group, and more.
    let entries = |text: &str, numbers: usize| -> Vec<(String, Vec<String>)> {
        let lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines
            .filter_map(|fields| {
                let numbers = fields.get(2..2 + numbers)?;
                let are_numbers = numbers.iter().all(|number| is_number(number));
                let numbers = numbers.iter().map(|number| (*number).to_owned()).collect();
                are_numbers.then(|| (fields[0].to_owned(), numbers))
            })
            .collect()
    };
    let find = |wanted: &str, entries: Vec<(String, Vec<String>)>| {
        let found = entries.iter().find(|(name, _)| name == wanted);
        found.map(|(_, numbers)| numbers.clone()).ok_or_else(|| UserError {
            name: wanted.to_owned(),
            known: entries.iter().map(|(name, _)| name.clone()).collect(),
        })
    };
    let (uid, own_group) = if is_number(name) {
        (name.to_owned(), None)
    } else {
        let numbers = find(name, entries(passwd, 2))?;
        (numbers[0].clone(), Some(numbers[1].clone()))
    };
    let gid = match wanted_group {
        Some(group_name) if is_number(group_name) => Some(group_name.to_owned()),
        Some(group_name) => Some(find(group_name, entries(group, 1))?[0].clone()),
        None => own_group,
    };
    Ok(gid.map_or_else(|| uid.clone(), |gid| format!("{uid}:{gid}")))
}
