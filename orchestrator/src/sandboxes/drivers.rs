//! What runs a sandbox, and what it says of itself.

use sandbox_sdk::types::CreateSandbox;

use super::{SandboxError, Sandboxes, request};
use crate::driver::{Choice, DriverError, DriverKind, DriverReport};

impl Sandboxes {
    /// The driver of a sandbox that was made with this.
    pub(super) fn choose_driver(&self, request: &CreateSandbox) -> Result<Choice, SandboxError> {
        let kinds = request::driver(request)?;
        let choice = self.0.drivers.choose(kinds, request.image.as_deref());
        choice.ok_or_else(|| {
            let enabled: Vec<_> = self.0.drivers.all().map(|(kind, _)| kind).collect();
            SandboxError::DriverNotAllowed(request::names_of(&enabled).join(", "))
        })
    }

    /// Whether it sees the image that it asked for, if it did.
    pub(super) fn uses_image(&self, request: &CreateSandbox) -> bool {
        self.choose_driver(request).is_ok_and(|choice| choice.image.is_some())
    }

    /// Refuses what the driver can't do, and limits that are to be hard and are not.
    pub(super) async fn check_driver(&self, request: &CreateSandbox) -> Result<(), SandboxError> {
        let choice = self.choose_driver(request)?;
        choice.driver.check(choice.image.as_deref()).await.map_err(refusal)?;
        let report = choice.driver.report().await.map_err(refusal)?;
        request::check_hard(request.resources.as_ref(), &report.limits)?;
        if choice.kind.has_images() && !request::tools(request)?.is_empty() {
            return Err(SandboxError::NotImplemented {
                feature: "tools",
                reason: "A container has the tools of its image. Ask for an image that has them."
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Whether it sees an image instead of this machine's programs.
    pub(crate) fn is_container(&self, id: &str) -> Result<bool, SandboxError> {
        Ok(self.choose_driver(&self.get(id)?.request)?.kind.has_images())
    }

    /// How hard the sandbox is isolated and limited.
    pub(crate) async fn driver_of(&self, id: &str) -> Result<DriverReport, SandboxError> {
        let choice = self.choose_driver(&self.get(id)?.request)?;
        choice.driver.report().await.map_err(refusal)
    }

    /// All drivers that may be asked for, the default first; the error of one that can't be had at
    /// the moment.
    pub(crate) async fn drivers(&self) -> Vec<(DriverKind, Result<DriverReport, DriverError>)> {
        let asked = self.0.drivers.all().map(async |(kind, driver)| (kind, driver.report().await));
        futures::future::join_all(asked).await
    }
}

fn refusal(error: DriverError) -> SandboxError {
    match error {
        DriverError::NoImage { .. } | DriverError::NoImageNamed => {
            SandboxError::Invalid(error.to_string())
        }
        error => SandboxError::Start(error.to_string()),
    }
}
