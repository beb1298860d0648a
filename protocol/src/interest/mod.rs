//! The interest map: who wants which subjects.

mod subscription;

pub use subscription::{Origin, Subscription, SubscriptionId};
