"""Deterministic stand-ins for the licensed files that EFT and SPIN need.

Everything comes out of numpy.random.RandomState(seed), so two machines build the same arrays.
Nothing here is taken from SMPL, SPIN or EFT data files: the body is a made-up stick figure with
6890 scattered vertices that only shares the sizes, the kinematic tree and the vertex and joint
numbering with SMPL.

Every float array is rounded so that it is exactly representable in float32 (casting to float64
afterwards loses nothing): a float64 run and a float32 run see the same numbers.
"""
# ruff: noqa
# fmt: off

import hashlib

import numpy as np

SEED = 20200521
N_VERTS, N_FACES, N_JOINTS = 6890, 13776, 24

# true SMPL kinematic tree (parent of each joint, -1 = root)
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]

# made-up rest skeleton, metres, y up, x to the body's left, z to the front
REST = np.array([
    [0.00, -0.22, 0.02], [0.07, -0.31, 0.01], [-0.07, -0.31, 0.01], [0.00, -0.11, 0.00],
    [0.10, -0.69, 0.01], [-0.10, -0.69, 0.01], [0.00, 0.03, 0.00], [0.09, -1.09, -0.03],
    [-0.09, -1.09, -0.03], [0.00, 0.09, 0.02], [0.11, -1.15, 0.09], [-0.11, -1.15, 0.09],
    [0.00, 0.29, -0.01], [0.08, 0.20, -0.01], [-0.08, 0.20, -0.01], [0.00, 0.36, 0.03],
    [0.17, 0.23, -0.01], [-0.17, 0.23, -0.01], [0.43, 0.21, -0.03], [-0.43, 0.21, -0.03],
    [0.68, 0.22, -0.04], [-0.68, 0.22, -0.04], [0.77, 0.21, -0.05], [-0.77, 0.21, -0.05]])

# vertex numbers the 45-joint SMPL layout picks out (name: index, rest position)
KEY_VERTS = {
    'nose': (332, (0.000, 0.400, 0.150)), 'reye': (6260, (-0.035, 0.430, 0.120)),
    'leye': (2800, (0.035, 0.430, 0.120)), 'rear': (4071, (-0.080, 0.410, 0.040)),
    'lear': (583, (0.080, 0.410, 0.040)), 'LBigToe': (3216, (0.100, -1.160, 0.190)),
    'LSmallToe': (3226, (0.150, -1.160, 0.160)), 'LHeel': (3387, (0.090, -1.150, -0.080)),
    'RBigToe': (6617, (-0.100, -1.160, 0.190)), 'RSmallToe': (6624, (-0.150, -1.160, 0.160)),
    'RHeel': (6787, (-0.090, -1.150, -0.080)), 'lthumb': (2746, (0.790, 0.200, 0.030)),
    'lindex': (2319, (0.870, 0.200, 0.000)), 'lmiddle': (2445, (0.880, 0.200, -0.030)),
    'lring': (2556, (0.870, 0.200, -0.060)), 'lpinky': (2673, (0.850, 0.200, -0.080)),
    'rthumb': (6191, (-0.790, 0.200, 0.030)), 'rindex': (5782, (-0.870, 0.200, 0.000)),
    'rmiddle': (5905, (-0.880, 0.200, -0.030)), 'rring': (6016, (-0.870, 0.200, -0.060)),
    'rpinky': (6133, (-0.850, 0.200, -0.080))}
KEY_JOINT = {'nose': 15, 'reye': 15, 'leye': 15, 'rear': 15, 'lear': 15,
             'LBigToe': 10, 'LSmallToe': 10, 'LHeel': 7, 'RBigToe': 11, 'RSmallToe': 11, 'RHeel': 8,
             'lthumb': 22, 'lindex': 22, 'lmiddle': 22, 'lring': 22, 'lpinky': 22,
             'rthumb': 23, 'rindex': 23, 'rmiddle': 23, 'rring': 23, 'rpinky': 23}

# (driving joint, start, end, radius, share) of the left half; mirrored to the right
HALF_PARTS = [
    (0, (0.00, -0.30, 0.00), (0.00, -0.14, 0.00), 0.13, 0.10),
    (3, (0.00, -0.14, 0.00), (0.00, 0.00, 0.00), 0.12, 0.08),
    (6, (0.00, 0.00, 0.00), (0.00, 0.08, 0.01), 0.12, 0.06),
    (9, (0.00, 0.08, 0.01), (0.00, 0.24, 0.00), 0.13, 0.10),
    (12, (0.00, 0.26, 0.00), (0.00, 0.35, 0.01), 0.06, 0.04),
    (15, (0.00, 0.33, 0.02), (0.00, 0.52, 0.03), 0.09, 0.14),
    (1, (0.07, -0.32, 0.01), (0.10, -0.66, 0.01), 0.075, 0.10),
    (4, (0.10, -0.69, 0.01), (0.09, -1.05, -0.02), 0.055, 0.08),
    (7, (0.09, -1.08, -0.04), (0.10, -1.13, 0.05), 0.040, 0.03),
    (10, (0.10, -1.14, 0.07), (0.12, -1.16, 0.17), 0.035, 0.05),
    (13, (0.06, 0.19, -0.01), (0.15, 0.23, -0.01), 0.070, 0.04),
    (16, (0.18, 0.23, -0.01), (0.41, 0.21, -0.03), 0.045, 0.06),
    (18, (0.43, 0.21, -0.03), (0.66, 0.22, -0.04), 0.035, 0.05),
    (20, (0.68, 0.22, -0.04), (0.76, 0.21, -0.05), 0.030, 0.03),
    (22, (0.77, 0.21, -0.05), (0.87, 0.20, -0.03), 0.030, 0.04)]

_CACHE = {}


def f32(x, dec=None):
    """float64 array whose values are exactly representable in float32."""
    x = np.asarray(x, np.float64)
    if dec is not None:
        x = np.round(x, dec)
    return x.astype(np.float32).astype(np.float64)


def sha(x):
    x = np.ascontiguousarray(x)
    return hashlib.sha256(x.tobytes()).hexdigest()[:16]


# ----------------------------------------------------------------- body model
def _half_cloud(rs):
    pos, drv = [], []
    share = np.array([p[4] for p in HALF_PARTS])
    cnt = np.floor(share / share.sum() * 3445).astype(int)
    cnt[0] += 3445 - cnt.sum()
    for (j, a, b, r, _), n in zip(HALF_PARTS, cnt):
        a, b = np.array(a), np.array(b)
        ax = (b - a) / np.sqrt(((b - a) ** 2).sum())
        ref = np.array([0., 0., 1.]) if abs(ax[2]) < 0.8 else np.array([1., 0., 0.])
        u = np.cross(ax, ref)
        u /= np.sqrt((u ** 2).sum())
        w = np.cross(ax, u)
        t = rs.uniform(0, 1, n)
        th = rs.uniform(0, 2 * np.pi, n)
        rad = r * rs.uniform(0.85, 1.0, n)
        p = a + t[:, None] * (b - a) + rad[:, None] * (np.cos(th)[:, None] * u + np.sin(th)[:, None] * w)
        if a[0] == 0 and b[0] == 0:
            p[:, 0] = np.abs(p[:, 0])          # stay in the left half
        pos.append(p)
        drv += [j] * n
    return np.concatenate(pos), np.array(drv)


def _seg_dist(p, a, b):
    d = b - a
    t = np.clip(((p - a) @ d) / max((d * d).sum(), 1e-12), 0, 1)
    return np.sqrt(((p - (a + t[:, None] * d)) ** 2).sum(1))


def _mirror_joint(j):
    m = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}
    m.update({v: k for k, v in list(m.items())})
    return m.get(j, j)


def _faces():
    """Closed triangle mesh of sphere topology: 82 rings x 84 columns + 2 poles."""
    R, C = 82, 84
    f = []
    vid = lambda r, c: 1 + r * C + (c % C)
    for c in range(C):
        f.append((0, vid(0, c), vid(0, c + 1)))
    for r in range(R - 1):
        for c in range(C):
            f.append((vid(r, c), vid(r + 1, c), vid(r + 1, c + 1)))
            f.append((vid(r, c), vid(r + 1, c + 1), vid(r, c + 1)))
    last = 1 + R * C
    for c in range(C):
        f.append((last, vid(R - 1, c + 1), vid(R - 1, c)))
    return np.array(f, np.uint32)


def smpl_model(gender='neutral', seed=SEED):
    """Dict with the keys of the SMPL pickle; all numpy, J_regressor dense here."""
    key = ('smpl', gender, seed)
    if key in _CACHE:
        return _CACHE[key]
    gi = {'neutral': 0, 'male': 1, 'female': 2}[gender]
    rs = np.random.RandomState(seed + 101 * gi)
    half, drv = _half_cloud(rs)
    v = np.concatenate([half, half * np.array([-1., 1., 1.])])
    drive = np.concatenate([drv, [_mirror_joint(j) for j in drv]])
    for n, (i, p) in KEY_VERTS.items():
        v[i] = p
        drive[i] = KEY_JOINT[n]
    v = v * (1.0, 1.04, 0.97)[gi]
    v = f32(v, 6)

    # skinning: Gaussian of the distance to every bone, 4 largest kept
    rest = REST * (1.0, 1.04, 0.97)[gi]
    kids = {j: [k for k in range(24) if PARENTS[k] == j] for j in range(24)}
    d = np.zeros((N_VERTS, 24))
    for j in range(24):
        ends = [rest[k] for k in kids[j]] or [rest[j] + 0.8 * (rest[j] - rest[PARENTS[j]])]
        d[:, j] = np.min([_seg_dist(v, rest[j], e) for e in ends], axis=0)
    w = np.exp(-(d / 0.06) ** 2)
    # legs and arms never borrow from the other side
    side = {1: 1, 4: 1, 7: 1, 10: 1, 13: 1, 16: 1, 18: 1, 20: 1, 22: 1}
    for j in range(24):
        s = side.get(j, -1 if j in [_mirror_joint(k) for k in side] else 0)
        if s:
            w[np.sign(drive_side(drive)) == -s, j] = 0
    w[np.arange(N_VERTS), drive] += 0.3
    kth = np.sort(w, axis=1)[:, -4][:, None]
    w = np.where(w >= kth, w, 0)
    w /= w.sum(1, keepdims=True)
    w = np.round(w, 5)
    w[np.arange(N_VERTS), drive] += 1.0 - w.sum(1)
    w = f32(w)

    # joints: weighted mean of near vertices, mirror symmetric
    jr = np.zeros((24, N_VERTS))
    for j in range(24):
        mj = _mirror_joint(j)
        if mj < j:
            continue
        n = 60 if mj == j else 24
        ww = rs.uniform(0.5, 1.5, n)
        ww = np.round(ww / ww.sum(), 4)
        ww[0] += 1.0 - ww.sum()
        d2 = ((v[:3445] - rest[j]) ** 2).sum(1)
        d2[[i % 3445 for i, _ in KEY_VERTS.values()]] = 9.0      # those break the mirror symmetry
        near = np.argsort(d2, kind='stable')[:n]
        if mj == j:
            jr[j, near] += ww / 2
            jr[j, near + 3445] += ww / 2
        else:
            jr[j, near] += ww
            jr[mj, near + 3445] += ww
    jr = f32(jr)
    J = f32(jr @ v)

    # shape space: two global scalings, the rest smooth waves
    sd = np.zeros((N_VERTS, 3, 10))
    c = v - J[0]
    sd[:, :, 0] = 0.025 * c
    sd[:, :, 1] = 0.020 * c * np.array([1., -0.5, 1.])
    for k in range(2, 10):
        freq = rs.uniform(-4, 4, (3, 3))
        ph = rs.uniform(0, 2 * np.pi, 3)
        amp = rs.uniform(0.002, 0.008, 3)
        sd[:, :, k] = np.sin(v @ freq + ph) * amp
    sd = f32(sd, 6)

    # pose correctives: 0.7 mm of noise per unit of (R - I)
    pd = f32(rs.standard_normal((N_VERTS, 3, 207)) * 7e-4, 7)

    kt = np.zeros((2, 24), np.uint32)
    kt[1] = np.arange(24)
    kt[0] = [4294967295 if p < 0 else p for p in PARENTS]
    m = dict(v_template=v, f=_faces(), J=J, J_regressor=jr, J_regressor_prior=jr.copy(),
             weights=w, weights_prior=w.copy(), shapedirs=sd, posedirs=pd, kintree_table=kt,
             vert_sym_idxs=((np.arange(N_VERTS) + 3445) % N_VERTS).astype(np.int64),
             bs_type='lrotmin', bs_style='lbs')
    _CACHE[key] = m
    return m


def drive_side(drive):
    left = {1, 4, 7, 10, 13, 16, 18, 20, 22}
    right = {2, 5, 8, 11, 14, 17, 19, 21, 23}
    return np.array([1 if j in left else (-1 if j in right else 0) for j in drive])


def _regressor(targets, n, seed):
    """Rows that average the n vertices nearest to each target point (weights sum to 1)."""
    rs = np.random.RandomState(seed)
    v = smpl_model()['v_template']
    out = np.zeros((len(targets), N_VERTS))
    for r, t in enumerate(targets):
        near = np.argsort(((v - np.array(t)) ** 2).sum(1), kind='stable')[:n]
        w = rs.uniform(0.5, 1.5, n)
        w = np.round(w / w.sum(), 4)
        w[0] += 1.0 - w.sum()
        out[r, near] = w
    return f32(out)


def j_regressor_extra(seed=SEED):
    # R hip, L hip, neck, head top (LSP); pelvis, thorax (MPII); spine, jaw, head (H36M)
    t = [(-0.10, -0.29, 0.), (0.10, -0.29, 0.), (0., 0.27, 0.02), (0., 0.52, 0.03), (0., -0.25, 0.01),
         (0., 0.20, 0.), (0., 0.03, 0.), (0., 0.35, 0.08), (0., 0.45, 0.04)]
    return _regressor(t, 24, seed + 7)


def j_regressor_h36m(seed=SEED):
    # pelvis, L hip knee ankle, R hip knee ankle, spine, neck, jaw, head, L sho elb wri, R sho elb wri
    t = [(0., -0.23, 0.02), (0.10, -0.28, 0.), (0.10, -0.69, 0.01), (0.09, -1.08, -0.03),
         (-0.10, -0.28, 0.), (-0.10, -0.69, 0.01), (-0.09, -1.08, -0.03), (0., 0.03, 0.),
         (0., 0.26, 0.), (0., 0.36, 0.08), (0., 0.48, 0.03), (0.18, 0.23, -0.01), (0.43, 0.21, -0.03),
         (0.68, 0.22, -0.04), (-0.18, 0.23, -0.01), (-0.43, 0.21, -0.03), (-0.68, 0.22, -0.04)]
    return _regressor(t, 24, seed + 8)


# --------------------------------------------------- small numpy body function
def rodrigues(aa):
    aa = np.asarray(aa, np.float64).reshape(-1, 3)
    th = np.sqrt((aa ** 2).sum(1) + 1e-16)
    k = aa / th[:, None]
    K = np.zeros((len(aa), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -k[:, 2], k[:, 1], -k[:, 0]
    K -= K.transpose(0, 2, 1)
    return np.eye(3) + np.sin(th)[:, None, None] * K + (1 - np.cos(th))[:, None, None] * (K @ K)


def body(rot, betas, gender='neutral'):
    """Plain numpy linear blend skinning (only used here to invent annotations)."""
    m = smpl_model(gender)
    vs = m['v_template'] + m['shapedirs'] @ betas
    J = m['J_regressor'] @ vs
    vp = vs + m['posedirs'] @ (rot[1:] - np.eye(3)).reshape(-1)
    G = np.zeros((24, 4, 4))
    for j in range(24):
        T = np.eye(4)
        T[:3, :3] = rot[j]
        T[:3, 3] = J[j] - (J[PARENTS[j]] if j else 0)
        G[j] = T if j == 0 else G[PARENTS[j]] @ T
    Jt = G[:, :3, 3].copy()
    A = G.copy()
    A[:, :3, 3] -= np.einsum('jab,jb->ja', G[:, :3, :3], J)
    T = np.einsum('vj,jab->vab', m['weights'], A)
    v = np.einsum('vab,vb->va', T[:, :3, :3], vp) + T[:, :3, 3]
    return v, Jt


# SMPL joint / key vertex / extra regressor behind each of the 49 joints
SRC49 = [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
         8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27]
KEY45 = ['nose', 'reye', 'leye', 'rear', 'lear', 'LBigToe', 'LSmallToe', 'LHeel', 'RBigToe', 'RSmallToe',
         'RHeel', 'lthumb', 'lindex', 'lmiddle', 'lring', 'lpinky', 'rthumb', 'rindex', 'rmiddle', 'rring',
         'rpinky']


def joints49(v, Jt):
    kv = v[[KEY_VERTS[n][0] for n in KEY45]]
    all54 = np.concatenate([Jt, kv, j_regressor_extra() @ v])
    return all54[SRC49]


# ------------------------------------------------------------------ regressor
def mean_aa():
    """Mean pose as axis-angle, (24,3): upright, facing the camera, arms lowered."""
    rs = np.random.RandomState(SEED + 21)
    aa = 0.08 * rs.standard_normal((24, 3))
    aa[0] = [np.pi, 0, 0]
    aa[16] += [0, 0, -1.0]
    aa[17] += [0, 0, 1.0]
    aa[4] += [0.3, 0, 0]
    aa[5] += [0.3, 0, 0]
    return aa


def mean_params():
    rs = np.random.RandomState(SEED + 22)
    R = rodrigues(mean_aa())
    pose = np.round(R[:, :, :2].reshape(144), 5).astype(np.float32)
    shape = np.round(0.2 * rs.standard_normal(10), 5).astype(np.float32)
    return dict(pose=pose, shape=shape, cam=np.array([0.9, 0.0, 0.0], np.float32))


def hmr_param_shapes():
    """Ordered list (name, shape, kind) of every tensor of the HMR state dict."""
    out = []

    def conv(n, o, i, k):
        out.append((n + '.weight', (o, i, k, k), 'conv'))

    def bn(n, c, kind):
        out.extend([(n + '.weight', (c,), kind), (n + '.bias', (c,), 'bnb'),
                    (n + '.running_mean', (c,), 'bnm'), (n + '.running_var', (c,), 'bnv'),
                    (n + '.num_batches_tracked', (), 'bnn')])

    conv('conv1', 64, 3, 7)
    bn('bn1', 64, 'bnw')
    inp = 64
    for li, (planes, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
        for b in range(blocks):
            p = 'layer%d.%d' % (li, b)
            conv(p + '.conv1', planes, inp, 1)
            bn(p + '.bn1', planes, 'bnw')
            conv(p + '.conv2', planes, planes, 3)
            bn(p + '.bn2', planes, 'bnw')
            conv(p + '.conv3', planes * 4, planes, 1)
            bn(p + '.bn3', planes * 4, 'bnw3')
            if b == 0:
                conv(p + '.downsample.0', planes * 4, inp, 1)
                bn(p + '.downsample.1', planes * 4, 'bnw')
            inp = planes * 4
    for n, o, i, k in [('fc1', 1024, 2048 + 144 + 13, 'fc'), ('fc2', 1024, 1024, 'fc'),
                       ('decpose', 144, 1024, 'decpose'), ('decshape', 10, 1024, 'decshape'),
                       ('deccam', 3, 1024, 'deccam')]:
        out.append((n + '.weight', (o, i), k))
        out.append((n + '.bias', (o,), k + '_b'))
    return out


def hmr_state_dict(seed=SEED, as_torch=True):
    """Every parameter and buffer of the SPIN HMR network (float32), plus the init_* buffers."""
    rs = np.random.RandomState(seed + 31)
    sd = {}
    dec = {'decpose': 0.0012, 'decshape': 0.0015, 'deccam': 0.0005}
    for name, shape, kind in hmr_param_shapes():
        if kind == 'conv':
            a = rs.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        elif kind == 'bnw':
            a = rs.uniform(0.8, 1.2, shape)
        elif kind == 'bnw3':
            a = rs.uniform(0.15, 0.35, shape)
        elif kind in ('bnb', 'bnm'):
            a = 0.05 * rs.standard_normal(shape)
        elif kind == 'bnv':
            a = rs.uniform(0.6, 1.4, shape)
        elif kind == 'bnn':
            sd[name] = np.array(1, np.int64)
            continue
        elif kind == 'fc':
            a = rs.standard_normal(shape) * 0.5 / np.sqrt(shape[1])
        elif kind in dec:
            a = rs.standard_normal(shape) * dec[kind]
        else:
            a = 0.01 * rs.standard_normal(shape)
        sd[name] = a.astype(np.float32)
    mp = mean_params()
    for k, n in (('pose', 'init_pose'), ('shape', 'init_shape'), ('cam', 'init_cam')):
        sd[n] = mp[k][None].astype(np.float32)
    if as_torch:
        import torch
        sd = {k: torch.from_numpy(np.array(v)) for k, v in sd.items()}
    return sd


# -------------------------------------------------------------------- pictures
def picture(i, h=224, w=224):
    """uint8 RGB test picture (h,w,3): smooth waves, a few blobs and mild grain."""
    rs = np.random.RandomState(SEED + 4000 + i)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    y, x = y / h, x / w
    im = np.zeros((h, w, 3))
    for c in range(3):
        for _ in range(4):
            fx_, fy_ = rs.uniform(-6, 6, 2)
            im[:, :, c] += rs.uniform(10, 30) * np.sin(2 * np.pi * (fx_ * x + fy_ * y) + rs.uniform(0, 6.28))
    for _ in range(8):
        cx, cy, s = rs.uniform(0, 1), rs.uniform(0, 1), rs.uniform(0.03, 0.15)
        col = rs.uniform(-90, 90, 3)
        im += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s * s))[:, :, None] * col
    im += 128 + 6 * rs.standard_normal((h, w, 3))
    return np.clip(np.round(im), 0, 255).astype(np.uint8)


MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(rgb_u8):
    """uint8 HWC -> float32 CHW, /255, ImageNet mean and std (all in float32)."""
    a = rgb_u8.astype(np.float32).transpose(2, 0, 1) / np.float32(255.0)
    return ((a - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32)


def test_image(i=0):
    return normalise(picture(i))


# -------------------------------------------------------- annotated EFT samples
SAMPLE_NAMES = ['full', 'coco', 'no_left_leg', 'upper', 'short_left_shin', 'softconf']
COCO24 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19, 20, 21, 22, 23]
MISSING_XY = np.array([-1.9107, -2.3304])      # where a missing (0,0) annotation happens to land


def target(i):
    """Target pose/shape/camera number i: (rot (24,3,3), betas, cam (s,tx,ty), aa (24,3))."""
    rs = np.random.RandomState(SEED + 500 + i)
    aa = mean_aa()
    aa = aa + np.r_[0.25 * rs.standard_normal((1, 3)), 0.35 * rs.standard_normal((23, 3))]
    betas = 0.5 * rs.standard_normal(10)
    cam = np.array([0.78 + 0.12 * rs.uniform(), 0.1 * rs.standard_normal(), 0.1 * rs.standard_normal()])
    aa, betas, cam = f32(aa, 5), f32(betas, 5), f32(cam, 5)
    return f32(rodrigues(aa)), betas, cam, aa


def samples():
    out = []
    for i, name in enumerate(SAMPLE_NAMES):
        rs = np.random.RandomState(SEED + 600 + i)
        rot, betas, cam, aa = target(i)
        v, Jt = body(rot, betas)
        j3 = joints49(v, Jt)
        kp = np.zeros((49, 3))
        kp[:, :2] = cam[0] * j3[:, :2] + cam[1:] + 0.015 * rs.standard_normal((49, 2))
        kp[:25, 2] = np.round(rs.uniform(0, 1, 25), 3)      # OpenPose block: must not matter
        kp[25:, 2] = 1.0
        if name == 'coco':
            off = np.ones(24, bool)
            off[COCO24] = False
            kp[25:][off] = 0
            kp[25:, :2][off] = MISSING_XY
        elif name == 'no_left_leg':
            kp[[25 + 4, 25 + 5], :2] = MISSING_XY
            kp[[25 + 4, 25 + 5], 2] = 0
        elif name == 'upper':
            off = [0, 1, 2, 3, 4, 5, 14, 15, 16, 17, 18]
            kp[[25 + k for k in off], :2] = MISSING_XY
            kp[[25 + k for k in off], 2] = 0
        elif name == 'short_left_shin':
            kp[25 + 5, :2] = kp[25 + 4, :2] + [0.003, 0.004]
        elif name == 'softconf':
            kp[25:, 2] = np.round(rs.uniform(0.2, 1.0, 24), 3)
            kp[25 + 12, 2] = 0
        S = np.zeros((24, 4))
        S[:, :3] = j3[25:] + 0.01 * rs.standard_normal((24, 3)) + [0.3, -0.2, 2.5]
        S[:, 3] = 1
        S[[13, 16, 17, 18], 3] = 0                           # joints a 3D source does not provide
        out.append(dict(name=name, picture=picture(i), img=test_image(i), keypoints=f32(kp, 4),
                        pose_3d=f32(S, 4), target_aa=aa, target_rot=rot, target_betas=betas,
                        target_cam=cam))
    return out


# --------------------------------------------------------------- SMPLify prior
def gmm_prior(seed=SEED):
    """8 Gaussians over the 69 body pose numbers, keys as in gmm_08.pkl (float64)."""
    rs = np.random.RandomState(seed + 41)
    k, d = 8, 69
    base = mean_aa()[1:].reshape(-1)
    means = np.round(base + 0.15 * rs.standard_normal((k, d)), 6)
    cov = np.zeros((k, d, d))
    for i in range(k):
        a = np.round(rs.standard_normal((d, 20)) * 0.05, 6)
        cov[i] = a @ a.T + np.diag(np.round(rs.uniform(0.02, 0.08, d), 6))
    w = rs.uniform(0.5, 1.5, k)
    w = np.round(w / w.sum(), 6)
    return dict(means=means, covars=cov, weights=w)


def checksums():
    """name -> (shape, dtype, sha256[:16]) for everything above."""
    c = {}

    def put(n, a):
        a = np.asarray(a)
        c[n] = (list(a.shape), str(a.dtype), sha(a), float(np.abs(a.astype(np.float64)).sum()))

    for g in ('neutral', 'male', 'female'):
        for k, v in smpl_model(g).items():
            if isinstance(v, np.ndarray):
                put('smpl.%s.%s' % (g, k), v)
    put('j_regressor_extra', j_regressor_extra())
    put('j_regressor_h36m', j_regressor_h36m())
    for k, v in mean_params().items():
        put('mean_params.' + k, v)
    sd = hmr_state_dict(as_torch=False)
    for k in ('conv1.weight', 'layer1.0.bn3.weight', 'layer4.2.conv3.weight', 'fc1.weight', 'decpose.weight',
              'deccam.bias', 'init_pose'):
        put('hmr.' + k, sd[k])
    put('hmr.ALL_abs_sums', np.array([np.abs(v.astype(np.float64)).sum() for v in sd.values()]))
    for s in samples():
        for k in ('picture', 'img', 'keypoints', 'pose_3d', 'target_aa', 'target_betas', 'target_cam'):
            put('sample.%s.%s' % (s['name'], k), s[k])
    for k, v in gmm_prior().items():
        put('gmm.' + k, v)
    return c


if __name__ == '__main__':
    for k, v in checksums().items():
        print(k, *v)
