//! scratch
use std::time::Instant;
use onehop::sim::{Member, Scenario};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let pool: u16 = a[3].parse().unwrap();
    let member = Member { pool_size: (pool>0).then_some(pool), heals: a[4]=="on", is_behind_nat: false };
    let s = Scenario::new(7, a[1].parse().unwrap(), a[2].parse().unwrap(), member);
    let t = Instant::now();
    let r = s.explore(a[5].parse().unwrap());
    match r { Ok(e) => println!("{a:?}: {e:?} in {:.2?}", t.elapsed()),
      Err(b) => { println!("{a:?}: {} after {:#?}", b.violation, b.steps); } }
}
