//! The drivers that sandboxes may have.

use std::{path::Path, sync::Arc};

use super::{
    Bubblewrap, ContainersConfig, Driver, DriverError, DriverKind, DriverOptions,
    container::Containers, ground::Ground,
};

/// Those that the settings name, the default first.
#[derive(Debug)]
pub(crate) struct Drivers {
    enabled: Vec<(DriverKind, Arc<dyn Driver>)>,
    image: Option<String>,
}

/// What runs a sandbox.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) kind: DriverKind,
    pub(crate) driver: Arc<dyn Driver>,
    /// What its root is made of, if the driver has images.
    pub(crate) image: Option<String>,
}

impl Drivers {
    /// Bubblewrap is proved at once. An engine may be started later: it is asked when it is needed.
    pub(crate) async fn open(
        options: DriverOptions,
        config: &ContainersConfig,
        folder: &Path,
    ) -> Result<Self, DriverError> {
        let ground = Ground::new(options)?;
        let mut enabled: Vec<(DriverKind, Arc<dyn Driver>)> = Vec::new();
        for &kind in &config.drivers {
            if enabled.iter().any(|(known, _)| *known == kind) {
                continue;
            }
            let driver: Arc<dyn Driver> = match kind {
                DriverKind::Bubblewrap => Arc::new(Bubblewrap::on(ground.clone()).await?),
                kind => Arc::new(Containers::new(kind, config, ground.clone(), folder)),
            };
            enabled.push((kind, driver));
        }
        Ok(Self { enabled, image: config.image.clone() })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (DriverKind, &Arc<dyn Driver>)> {
        self.enabled.iter().map(|(kind, driver)| (*kind, driver))
    }

    /// The first of the kinds that is enabled. Who asks for none gets the default, or one that has
    /// images if an image was asked for. `None`: what was asked for may not be had.
    pub(crate) fn choose(
        &self,
        kinds: Option<&[DriverKind]>,
        image: Option<&str>,
    ) -> Option<Choice> {
        let of = |wanted: DriverKind| self.enabled.iter().find(|(kind, _)| *kind == wanted);
        let (kind, driver) = match kinds {
            Some(kinds) => kinds.iter().find_map(|kind| of(*kind))?,
            None => {
                let fits = |(kind, _): &&(DriverKind, _)| image.is_none() || kind.has_images();
                self.enabled.iter().find(fits).or(self.enabled.first())?
            }
        };
        let image = image.map(str::to_owned).or_else(|| self.image.clone());
        let image = image.filter(|_| kind.has_images());
        Some(Choice { kind: *kind, driver: driver.clone(), image })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DriverKind::{Bubblewrap, Docker, Gvisor, Podman};

    fn drivers(kinds: &[DriverKind], image: Option<&str>) -> Drivers {
        let config = ContainersConfig::default();
        let ground = Ground::new(DriverOptions::default()).unwrap();
        let of = |kind: &DriverKind| {
            let driver = Containers::new(*kind, &config, ground.clone(), Path::new("/"));
            (*kind, Arc::new(driver) as Arc<dyn Driver>)
        };
        Drivers { enabled: kinds.iter().map(of).collect(), image: image.map(str::to_owned) }
    }

    fn chosen(
        drivers: &Drivers,
        kinds: Option<&[DriverKind]>,
        image: Option<&str>,
    ) -> Option<(DriverKind, Option<String>)> {
        drivers.choose(kinds, image).map(|choice| (choice.kind, choice.image))
    }

    #[test]
    fn who_asks_for_nothing_gets_the_first_and_who_asks_for_an_image_one_that_has_it() {
        let both = drivers(&[Bubblewrap, Podman, Docker], Some("standard"));
        assert_eq!(chosen(&both, None, None), Some((Bubblewrap, None)));
        assert_eq!(chosen(&both, None, Some("own")), Some((Podman, Some("own".to_owned()))));
        let standard = Some("standard".to_owned());
        assert_eq!(chosen(&both, Some(&[Docker]), None), Some((Docker, standard)));
        let alone = drivers(&[Bubblewrap], None);
        assert_eq!(chosen(&alone, None, Some("own")), Some((Bubblewrap, None)));
    }

    #[test]
    fn what_is_not_enabled_can_not_be_had() {
        let some = drivers(&[Bubblewrap, Podman], None);
        assert_eq!(chosen(&some, Some(&[Docker, Podman]), None), Some((Podman, None)));
        assert_eq!(chosen(&some, Some(&[Gvisor]), Some("own")), None);
        assert_eq!(chosen(&some, Some(&[]), None), None, "nobody knows its name");
    }
}
