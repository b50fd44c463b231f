//! The ports of passive data connections, shared fairly: a source (an IPv4 address or an IPv6 /64) holds at most as many ports
//! as are still free, so that a single one can take half of them and no more, and newcomers always find one.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use causeway_core::identity::source_of;

/// The pool.
#[derive(Debug)]
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    by: HashMap<IpAddr, usize>,
}

/// A port that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    ports: Arc<Ports>,
    port: u16,
    by: IpAddr,
}

impl Lease {
    /// The port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut taken = self.ports.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.ports.remove(&self.port);
        if let Some(held) = taken.by.get_mut(&self.by) {
            *held -= 1;
            if *held == 0 {
                taken.by.remove(&self.by);
            }
        }
    }
}

impl Ports {
    /// Of this range.
    pub(crate) fn new(range: RangeInclusive<u16>) -> Arc<Self> {
        Arc::new(Self { range, taken: Mutex::default() })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// A port of the range. Which one comes next cannot be told from those before (RFC 2577 section 8).
    pub(crate) fn any(&self) -> u16 {
        let nth = uuid::Uuid::new_v4().as_u128() % self.len().max(1) as u128;
        self.range.start().saturating_add(nth as u16)
    }

    /// Takes a port for an address, this one or the next that is free behind it; none where its source has its share, or none
    /// is left.
    pub(crate) fn take(self: &Arc<Self>, by: IpAddr, begin: u16) -> Option<Lease> {
        let by = source_of(by);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.range.len().checked_sub(taken.ports.len())?;
        if taken.by.get(&by).copied().unwrap_or_default() >= free {
            return None;
        }
        let (first, last) = (*self.range.start(), *self.range.end());
        // Behind the last one comes the first.
        let begin = if self.range.contains(&begin) { begin } else { first };
        let port = (begin..=last).chain(first..begin).find(|port| !taken.ports.contains(port))?;
        taken.ports.insert(port);
        *taken.by.entry(by).or_default() += 1;
        Some(Lease { ports: self.clone(), port, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(ports: &Arc<Ports>, by: &str) -> Option<Lease> {
        ports.take(by.parse().unwrap(), ports.any())
    }

    #[test]
    fn one_address_takes_half_and_a_newcomer_finds_a_port() {
        let ports = Ports::new(50000..=50099);
        let held: Vec<Lease> = std::iter::from_fn(|| take(&ports, "192.0.2.1")).collect();
        assert_eq!(held.len(), 50);
        let more: Vec<Lease> = std::iter::from_fn(|| take(&ports, "192.0.2.2")).collect();
        assert_eq!(more.len(), 25);
        assert!(take(&ports, "192.0.2.3").is_some());
        drop(held);
        assert!(take(&ports, "192.0.2.1").is_some());
    }

    #[test]
    fn one_client_of_many_addresses_is_one() {
        let ports = Ports::new(50000..=50099);
        let held: Vec<Lease> = (0..100).filter_map(|n| take(&ports, &format!("2001:db8:0:1::{n:x}"))).collect();
        assert_eq!(held.len(), 50);
        assert!(take(&ports, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn the_next_port_is_not_to_be_guessed() {
        let ports = Ports::new(50000..=50999);
        let seen: Vec<u16> = (0..200).map(|_| take(&ports, "192.0.2.1").unwrap().port()).collect();
        let beside = seen.windows(2).filter(|two| two[0].abs_diff(two[1]) <= 1).count();
        assert!(beside < 10, "{seen:?}");
        assert!(seen.iter().any(|port| *port < 50200) && seen.iter().any(|port| *port >= 50800), "{seen:?}");
    }

    #[test]
    fn every_port_is_found() {
        let ports = Ports::new(10..=13);
        let clients = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
        let held = clients.map(|client| ports.take(client.parse().unwrap(), 12).unwrap());
        assert_eq!(held.each_ref().map(Lease::port), [12, 13, 10, 11]);
        let one = Ports::new(7..=7);
        let lease = take(&one, "192.0.2.1").unwrap();
        assert!(take(&one, "192.0.2.1").is_none());
        drop(lease);
        assert_eq!(take(&one, "192.0.2.1").unwrap().port(), 7);
    }
}
