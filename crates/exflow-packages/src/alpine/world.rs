use super::dependency::parse_dependencies;
use std::collections::BTreeMap;

/// What somebody asked for (`/etc/apk/world`, apk-world(5)), with `named` added: sorted, and written
/// as apk does. What is named takes the place of what was asked for by the same name.
pub fn world_with(world: &str, named: &[String]) -> String {
    let named = named.iter().flat_map(|text| parse_dependencies(text));
    let all: BTreeMap<(String, &str), String> = parse_dependencies(world)
        .chain(named)
        .map(|wanted| ((wanted.name.to_ascii_lowercase(), wanted.name), wanted.to_string()))
        .collect();
    all.into_values().map(|wanted| wanted + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_sorted() {
        let named = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
        let world = "musl\nalpine-base\nb@edge\n!x\n";
        assert_eq!(
            world_with(world, &named(&["Zz", "zlib>1", "b", "aa"])),
            "aa\nalpine-base\nb\nmusl\n!x\nzlib>1\nZz\n"
        );
        assert_eq!(world_with("", &[]), "");
    }
}
