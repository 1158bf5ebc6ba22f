//! Which inputs each output of one resampled axis takes, and with which weights: the triangle filter of [`super::resize`].
//!
//! Weights are floats for planes of numbers, and whole numbers for pixels, whose resampling is then the same on every
//! device, to the bit.

/// Inputs and weights of every output of one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taps<T> {
    /// First input, per output.
    first: Vec<usize>,
    /// Where each output's weights start in `weight`; one more entry ends the last.
    start: Vec<usize>,
    weight: Vec<T>,
}

impl Taps<f32> {
    /// Weights that sum to 1, rounding aside.
    #[must_use]
    pub fn new(input: u32, output: u32) -> Self {
        Self::collect(input, output, |weights, out| out.extend(weights.map(|weight| weight as f32)))
    }
}

impl Taps<u32> {
    /// Whole numbers that sum to exactly `one`, each less than 1 away from its share: the sums of weights up to each input are
    /// rounded, and a weight is the difference of two such.
    #[must_use]
    pub fn whole(input: u32, output: u32, one: u32) -> Self {
        Self::collect(input, output, |weights, out| {
            let (mut sum, mut given) = (0.0, 0);
            let start = out.len();
            for weight in weights {
                sum += weight;
                let due = (sum * f64::from(one)).round() as u32;
                out.push(due - given);
                given = due;
            }
            // The sum of all is 1 but for rounding.
            if let Some(last) = out[start..].last_mut() {
                *last = *last + one - given;
            }
        })
    }
}

impl<T> Taps<T> {
    /// `append` turns the weights of one output, which sum to 1, into `T`s, one each.
    fn collect(input: u32, output: u32, append: impl Fn(&mut dyn Iterator<Item = f64>, &mut Vec<T>)) -> Self {
        let step = f64::from(input) / f64::from(output);
        let support = step.max(1.0);
        let mut taps = Self { first: Vec::with_capacity(output as usize), start: vec![0], weight: Vec::new() };
        for o in 0..output {
            let centre = (f64::from(o) + 0.5) * step;
            let distance = |i: u32| (f64::from(i) + 0.5 - centre).abs() / support;
            // The first and last input whose centre is nearer than the support.
            let low = (centre - support - 0.5).floor().max(-1.0) as i64 + 1;
            let high = ((centre + support - 0.5).ceil() as i64 - 1).min(i64::from(input) - 1);
            let reach = low as u32..=(high.max(low) as u32).min(input - 1);
            let sum: f64 = reach.clone().map(|i| 1.0 - distance(i)).sum();
            taps.first.push(low as usize);
            append(&mut reach.map(|i| (1.0 - distance(i)) / sum), &mut taps.weight);
            taps.start.push(taps.weight.len());
        }
        taps
    }

    /// The same taps with other weights.
    #[must_use]
    pub fn map<U>(self, to: impl FnMut(T) -> U) -> Taps<U> {
        Taps { first: self.first, start: self.start, weight: self.weight.into_iter().map(to).collect() }
    }

    /// Number of outputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// First input of output `o`.
    #[must_use]
    pub fn first(&self, o: usize) -> usize {
        self.first[o]
    }

    /// Last input of output `o`.
    #[must_use]
    pub fn last(&self, o: usize) -> usize {
        self.first[o] + self.start[o + 1] - self.start[o] - 1
    }

    /// Weights of output `o`, from its first input on.
    #[must_use]
    pub fn weights(&self, o: usize) -> &[T] {
        &self.weight[self.start[o]..self.start[o + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_weights_sum_to_one_exactly_and_follow_the_real_ones() {
        for (input, output) in [(1, 1), (1, 7), (7, 1), (640, 448), (1080, 448), (5, 640), (1 << 20, 48)] {
            for one in [1 << 16, 1 << 22] {
                let (whole, real) = (Taps::whole(input, output, one), Taps::new(input, output));
                for o in 0..output as usize {
                    assert_eq!(whole.weights(o).iter().sum::<u32>(), one, "{input} to {output}, output {o}");
                    assert_eq!((whole.first(o), whole.last(o)), (real.first(o), real.last(o)));
                    for (n, weight) in whole.weights(o).iter().zip(real.weights(o)) {
                        assert!((*n as f32 - weight * one as f32).abs() <= 1.5, "{n} for {weight} of {one}");
                    }
                }
            }
        }
    }
}
