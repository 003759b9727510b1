//! Sandboxes that are containers: of Docker, of Podman, and of Docker with gVisor. Each test is run
//! with every engine that is there, and says so where one is not.

/// Makes a test for each engine of each of the functions.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        on_every_engine!(@docker Docker: $($test),+);
        on_every_engine!(@podman Podman: $($test),+);
        on_every_engine!(@gvisor Gvisor: $($test),+);
    };
    (@$module:ident $kind:ident: $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    use orchestrator::driver::DriverKind;
                    if let Some(engine) = crate::containers::Engine::find(DriverKind::$kind).await {
                        super::$test(&engine).await;
                    }
                }
            )+
        }
    };
}

mod choice;
mod engine;
mod images;
mod isolation;
mod life;
mod limits;
mod work;

use engine::Engine;
