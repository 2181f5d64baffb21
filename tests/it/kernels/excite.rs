//! Channels times their gates.

use super::pool::table;
use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::excite;
use netadapt::reference;

#[test]
fn forward() {
    table(|Setting { gpu, tuning, .. }, shape, kept| {
        let (x, gate) = (random(1, shape), random(2, [shape[0], 1, 1, shape[3]]));
        let want = reference::excite::forward(kept, &x, &gate);
        let mut rows = Rows::new(shape[0]);
        let row = rows.add(kept);
        let y = trap_map(gpu, "y", shape);
        let mut rec = Recording::new();
        let io = excite::Forward { x: &map(gpu, "x", &x, kept), gate: &map(gpu, "gate", &gate, kept), y: &y };
        excite::forward(&mut rec, &tuning, &rows.upload(gpu), row, io);
        run(gpu, rec)?;
        check_map(gpu, &y, kept, &want, Tolerance::sum(1))
    });
}

#[test]
fn backward_gate() {
    table(|Setting { gpu, tuning, .. }, shape, kept| {
        let (dy, x) = (random(1, shape), random(2, shape));
        let want = reference::excite::backward_gate(kept, &dy, &x);
        let mut rows = Rows::new(shape[0]);
        let row = rows.add(kept);
        let dgate = trap_map(gpu, "dgate", want.shape());
        let mut rec = Recording::new();
        let io = excite::BackwardGate { dy: &map(gpu, "dy", &dy, kept), x: &map(gpu, "x", &x, kept), dgate: &dgate };
        excite::backward_gate(&mut rec, &tuning, &rows.upload(gpu), row, io);
        run(gpu, rec)?;
        // Written whole: linear layers read it all.
        check_map(gpu, &dgate, &vec![shape[3]; shape[0]], &want, Tolerance::sum(shape[1] * shape[2]))
    });
}

#[test]
fn backward() {
    table(|Setting { gpu, tuning, .. }, shape, kept| {
        let dy = random(1, shape);
        let (gate, dpool) = (random(2, [shape[0], 1, 1, shape[3]]), random(3, [shape[0], 1, 1, shape[3]]));
        let want = reference::excite::backward(kept, &dy, &gate, &dpool);
        let mut rows = Rows::new(shape[0]);
        let row = rows.add(kept);
        let dx = trap_map(gpu, "dx", shape);
        let mut rec = Recording::new();
        let io = excite::Backward {
            dy: &map(gpu, "dy", &dy, kept),
            gate: &map(gpu, "gate", &gate, kept),
            dpool: &map(gpu, "dpool", &dpool, kept),
            dx: &dx,
        };
        excite::backward(&mut rec, &tuning, &rows.upload(gpu), row, io);
        run(gpu, rec)?;
        check_map(gpu, &dx, kept, &want, Tolerance::sum(2))
    });
}
