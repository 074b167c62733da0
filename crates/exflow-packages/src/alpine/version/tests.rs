use super::*;
use proptest::prelude::*;

/// Pairs that apk-tools' own tests have too, or that its manual page decides: each version less
/// than the next.
const RISING: &[&[&str]] = &[
    &["0.1.0_alpha_pre2", "0.1.0_alpha", "0.1.0_alpha2", "0.1.3_alpha", "2.2.39-r1"],
    &["1.0.4-r3", "1.0.4-r4", "1.6"],
    &["1.1_alpha1", "1.1", "1.2.1"],
    &["1.3_alpha", "1.3_alpha2", "1.3_alpha3", "1.3_beta", "1.3_pre", "1.3_rc", "1.3"],
    &["1.3", "1.3_cvs", "1.3_svn", "1.3_git", "1.3_hg", "1.3_p", "1.3a", "1.3.0"],
    &["2.3.0b-r1", "2.3.0b-r2"],
    &["3.1_p16", "3.1_p17"],
    &["1.06-r6", "006"],
    &["1.00_beta2", "1.00"],
    &["1.0", "1.00", "1.03-r1", "1.1"],
    &["1.02.07", "1.02.10-r1"],
    &["3.0.20060720", "20060720"],
    &["1.1.1-r3", "1.1.1-r10"],
    &["1.3-r0", "1.3.1-r0"],
    &["1.3_pre1-r1", "1.3.2"],
    &["1.0_p9-r0", "1.0_p10-r0"],
    &["1.0.0_pre20191002222144-r0", "1.0.0_pre20210530193627-r0"],
    &["6.0_pre1", "6.0", "6.0_p1", "6.1_pre1", "6.1", "6.1_p1"],
    &["8.2.0", "8.2.001", "8.2.0015", "8.2.002"],
    &["1.0~1234-r0", "1.0~1234-r1", "1.0~2345-r0"],
    &["0.59s-r11", "0.65"],
    &["7.0.17", "7.0.174"],
];

#[test]
fn orders_as_apk_does() {
    for versions in RISING {
        for (at, a) in versions.iter().enumerate() {
            for (other, b) in versions.iter().enumerate() {
                assert_eq!(compare_versions(a, b), at.cmp(&other), "{a} and {b}");
            }
        }
    }
    assert_eq!(compare_versions("23_foo", "4_beta"), Ordering::Greater);
    assert_eq!(compare_versions("1.0", "1.0bc"), Ordering::Less);
    let huge = |digit: &str| format!("1.{}-r1", digit.repeat(99));
    assert_eq!(compare_versions(&huge("9"), &huge("8")), Ordering::Greater);
}

#[test]
fn knows_a_version() {
    for version in [
        "1.2",
        "0.1_pre2",
        "0.1_pre2~1234abcd",
        "0.1_p1_pre2",
        "0.1_alpha1_pre2",
        "0.1_git20240101_pre1",
        "1",
        "1a",
        "1.2.3b_rc1~f00-r12",
    ] {
        assert!(is_version(version), "{version}");
    }
    for text in [
        "",
        "0.1bc",
        "0.1bc1",
        "0.1a1",
        "0.1a.1",
        "0.1_pre2~",
        "0.1_pre2~1234xbcd",
        "0.1_pre2~1234abcd_pre1",
        "0.1_pre2-r1~1234xbcd",
        "0.1_foobar",
        "0.1_foobar1",
        "0.1-pre1.1",
        "0.1-r",
        "0.1-r2_pre1",
        "0.1-r2_p3_pre1",
        "0.1-r2-r3",
        "0.1-r2.1",
        ".1",
        "a",
        "_pre1",
        "-r1",
        "0.1_",
        "0.1_-r0",
        "0.1__alpha",
        "0.1_1_alpha",
        "1.",
        "1..2",
        "1.2 ",
    ] {
        assert!(!is_version(text), "{text}");
    }
}

#[test]
fn a_prefix_is_enough_for_some() {
    for version in ["3.6", "3.6.0", "3.6.9", "3.6_pre1", "3.6.0_pre1", "3.6.9_p1", "3.6-r1"] {
        assert_eq!(compare_prefix(version, "3.6"), Ordering::Equal, "{version}");
    }
    for (a, b) in [("3.6.0", "3.8"), ("3.8", "3.8.1"), ("3.8.0", "3.8.1"), ("3.8.0.1", "3.8.1")] {
        assert_eq!(compare_prefix(a, b), Ordering::Less, "{a} and {b}");
    }
    assert_eq!(compare_prefix("3.60", "3.6"), Ordering::Greater);
}

fn any_text() -> impl Strategy<Value = String> {
    let version = "[0-9]{1,2}(\\.0?[0-9]{1,2}){0,2}[a-b]?(_(alpha|rc|p|git)[0-2]?){0,2}(~[0-9a]{1,2})?(-r[0-2])?";
    prop_oneof![version, "[0-9a.p_~r-]{0,8}", ".{0,12}"]
}

proptest! {
    #[test]
    fn is_an_order(a in any_text(), b in any_text(), c in any_text()) {
        prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        if compare_versions(&a, &b).is_le() && compare_versions(&b, &c).is_le() {
            prop_assert!(compare_versions(&a, &c).is_le());
        }
        compare_prefix(&a, &b);
    }
}
