//! Boards as data: one TOML file a board in `profiles/`, compiled in, read by the types here.
//!
//! A [`Profile`] holds what a data sheet or a probe says of a board, with its source; [`roofline`] turns it into the least
//! time that a network can take there. To add a board, add its file and its line in [`EMBEDDED`].

pub mod error;
pub mod profile;
pub mod roofline;

pub use error::{Error, Result};
pub use profile::{Backend, Peak, Profile};

/// The profiles' texts, in the order in which they are listed; the first match wins when a board is detected.
pub const EMBEDDED: [&str; 8] = [
    include_str!("../profiles/jetson-nano.toml"),
    include_str!("../profiles/jetson-tx2.toml"),
    include_str!("../profiles/jetson-xavier-nx.toml"),
    include_str!("../profiles/jetson-orin-nano-super.toml"),
    include_str!("../profiles/jetson-orin-nano.toml"),
    include_str!("../profiles/jetson-orin-nx.toml"),
    include_str!("../profiles/jetson-agx-orin.toml"),
    include_str!("../profiles/generic-cpu.toml"),
];

/// All embedded profiles.
///
/// # Errors
/// [`Error::Profile`] if an embedded text is not a profile; a test holds that none is.
pub fn profiles() -> Result<Vec<Profile>> {
    EMBEDDED.into_iter().map(Profile::parse).collect()
}

/// The embedded profile called `name`.
///
/// ```
/// assert_eq!(fathom_boards::named("jetson-nano")?.peak.dram_gb_s, Some(25.6));
/// # Ok::<(), fathom_boards::Error>(())
/// ```
///
/// # Errors
/// [`Error::Unknown`], which lists the names there are.
pub fn named(name: &str) -> Result<Profile> {
    let all = profiles()?;
    let known = || all.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ");
    all.iter().find(|profile| profile.name == name).cloned().ok_or_else(|| Error::Unknown { name: name.into(), known: known() })
}

/// The board whose device tree calls itself `model` (on Linux the text of `/proc/device-tree/model`).
///
/// # Errors
/// As [`profiles`].
pub fn detect(model: &str) -> Result<Option<Profile>> {
    Ok(profiles()?.into_iter().find(|profile| profile.device_tree.iter().any(|part| model.contains(part))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_profile_is_readable_and_its_name_is_its_own() {
        let mut names: Vec<_> = profiles().unwrap().into_iter().map(|profile| profile.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EMBEDDED.len());
    }

    #[test]
    fn boards_are_recognised_by_what_their_device_tree_says() {
        let name = |model| detect(model).unwrap().map(|profile| profile.name);
        assert_eq!(name("NVIDIA Jetson Nano Developer Kit").as_deref(), Some("jetson-nano"));
        assert_eq!(name("NVIDIA Jetson Orin Nano Developer Kit").as_deref(), Some("jetson-orin-nano"));
        assert_eq!(name("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0").as_deref(), Some("jetson-orin-nano-super"));
        assert_eq!(name("NVIDIA Jetson AGX Orin Developer Kit").as_deref(), Some("jetson-agx-orin"));
        assert_eq!(name("Raspberry Pi 5 Model B Rev 1.0"), None);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let text = named("jetson").unwrap_err().to_string();
        assert!(text.contains("\"jetson\"") && text.contains("jetson-tx2"), "{text}");
    }
}
