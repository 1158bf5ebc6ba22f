//! What a frozen network's answers to virtual views say about tau and focal length.
//!
//! [`frame`] runs the network on one frame's views, [`rotation`] turns an answer to a turned view into normal equations
//! for tau (closed form), [`residual`] gives the residual of any view with its derivatives, [`two_way`] weights it by the
//! picture that comes back, [`guard`] refuses frames that
//! cannot carry information, and [`pool`] joins frames, as many as there are, in bounded memory.
//!
//! The response. A network realises only a share kappa of the depth change that a rotation brings:
//! `tau_hat + mean(x) = kappa (tau + mean(x))`. Kappa belongs to the frozen network and to this renderer (its zoom and
//! angles), is measured once with ground truth, travels in the card with its spread between cameras, and is divided out.

pub mod frame;
pub mod guard;
pub mod pool;
pub mod residual;
pub mod rotation;
pub mod two_way;
