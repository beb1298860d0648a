mod import;
mod model;
mod rules;
mod transform;

use fastrand::Rng;

use super::*;

fn applied(transform: &Transform, subject: &str) -> String {
    let mut out = Vec::new();
    transform.apply(subject.as_bytes(), &mut Rng::with_seed(1), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
