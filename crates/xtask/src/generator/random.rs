//! Chance, the same on every machine: SplitMix64 (Steele, Lea, Flood 2014), and Zipf's law over a number of ranks that changes.

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True `count` times in `of`.
    pub(super) fn chance(&mut self, count: u64, of: u64) -> bool {
        self.below(of) < count
    }

    /// From 0 up to, without, 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len() as u64) as usize]
    }
}

const EXPONENT: f64 = 0.99;

/// Ranks 0.. with probability proportional to 1 / (rank + 1)^0.99 (Gray et al. 1994, as in YCSB), kept up as ranks come and go.
#[derive(Debug, Default)]
pub(super) struct Zipf {
    ranks: u64,
    zeta: f64,
}

impl Zipf {
    pub(super) fn resize(&mut self, ranks: u64) {
        while self.ranks < ranks {
            self.ranks += 1;
            self.zeta += (self.ranks as f64).powf(-EXPONENT);
        }
        while self.ranks > ranks {
            self.zeta -= (self.ranks as f64).powf(-EXPONENT);
            self.ranks -= 1;
        }
    }

    pub(super) fn rank(&self, random: &mut Random) -> u64 {
        let (unit, ranks) = (random.unit(), self.ranks as f64);
        let second = 0.5f64.powf(EXPONENT);
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + second {
            return 1.min(self.ranks - 1);
        }
        let eta = (1.0 - (2.0 / ranks).powf(1.0 - EXPONENT)) / (1.0 - (1.0 + second) / self.zeta);
        let rank = ranks * (eta * unit - eta + 1.0).powf(1.0 / (1.0 - EXPONENT));
        (rank as u64).min(self.ranks - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_gets_its_share_of_zipfs_law() {
        let (mut zipf, mut random) = (Zipf::default(), Random::new(1));
        zipf.resize(10_000);
        let draws: Vec<u64> = (0..100_000).map(|_| zipf.rank(&mut random)).collect();
        let share = |rank: u64| draws.iter().filter(|draw| **draw == rank).count() as f64 / draws.len() as f64;
        assert!((share(0) - 1.0 / zipf.zeta).abs() < 0.005, "{}", share(0));
        assert!(share(0) > 1.8 * share(1));
        assert!(draws.iter().all(|draw| *draw < 10_000));
    }
}
