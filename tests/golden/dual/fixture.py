"""Deterministic, licence-free inputs of the dual-network numbers.

The body is the one of `tests.golden.eft.fixture`; everything else comes from numpy RandomState
streams keyed by a name, so nothing depends on the order of generation.
"""
# ruff: noqa

import zlib

import numpy as np

from tests.golden.eft import fixture as fake_smpl

SEED = 20240611
NV, NJ, NF = 6890, 24, 13776
CROP_W, CROP_H = 192, 256
PARENTS = fake_smpl.PARENTS

# full list of 49 joints -> index into [24 smpl joints | 21 picked vertices | 9 extra regressed]
JOINT_MAP_49 = [
    24,
    12,
    17,
    19,
    21,
    16,
    18,
    20,
    0,
    2,
    5,
    8,
    1,
    4,
    7,
    25,
    26,
    27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    8,
    5,
    45,
    46,
    4,
    7,
    21,
    19,
    17,
    16,
    18,
    20,
    47,
    48,
    49,
    50,
    51,
    52,
    53,
    24,
    26,
    25,
    28,
    27,
]


def rs(name):
    return np.random.RandomState((zlib.crc32(name.encode()) ^ SEED) & 0xFFFFFFFF)


def smpl_model(gender="neutral"):
    return fake_smpl.smpl_model(gender)


def regressors():
    return fake_smpl.j_regressor_extra(), fake_smpl.j_regressor_h36m()


mean_params = fake_smpl.mean_params


# ---------------------------------------------------------------- network weights
def resnet_shapes(bbox):
    """names and shapes of the released-style state dict (backbone names at top level, buffers included)"""
    s = {}

    def bn(p, c):
        s[p + ".weight"] = (c,)
        s[p + ".bias"] = (c,)
        s[p + ".running_mean"] = (c,)
        s[p + ".running_var"] = (c,)
        s[p + ".num_batches_tracked"] = ()

    s["init_pose"], s["init_shape"], s["init_cam"] = (1, 144), (1, 10), (1, 3)
    s["conv1.weight"] = (64, 3, 7, 7)
    bn("bn1", 64)
    cin = 64
    for li, (planes, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
        for b in range(blocks):
            p = "layer%d.%d." % (li, b)
            s[p + "conv1.weight"] = (planes, cin, 1, 1)
            bn(p + "bn1", planes)
            s[p + "conv2.weight"] = (planes, planes, 3, 3)
            bn(p + "bn2", planes)
            s[p + "conv3.weight"] = (planes * 4, planes, 1, 1)
            bn(p + "bn3", planes * 4)
            if b == 0:
                s[p + "downsample.0.weight"] = (planes * 4, cin, 1, 1)
                bn(p + "downsample.1", planes * 4)
            cin = planes * 4
    nin = 2048 + 144 + 13 + (3 if bbox else 0)
    for k, (o, i) in {
        "fc1": (1024, nin),
        "fc2": (1024, 1024),
        "decpose": (144, 1024),
        "decshape": (10, 1024),
        "deccam": (3, 1024),
    }.items():
        s[k + ".weight"] = (o, i)
        s[k + ".bias"] = (o,)
    return s


_HEAD = {"fc1": None, "fc2": None, "decpose": 0.0006, "decshape": 0.003, "deccam": 0.0002}


def fill(name, shape, tag, is_bn, mean=None):
    """one array of a state dict. is_bn(prefix) tells whether the module is a batch norm."""
    if name in ("init_pose", "init_shape", "init_cam"):
        mean = mean or mean_params()
        return mean[name[5:]].astype(np.float32).reshape(shape)
    mod, _, leaf = name.rpartition(".")
    r = rs("w/%s/%s" % (tag, name))
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_mean":
        return r.normal(0, 0.05, shape).astype(np.float32)
    if leaf == "running_var":
        return r.uniform(0.6, 1.4, shape).astype(np.float32)
    if is_bn(mod):
        if leaf == "bias":
            return r.normal(0, 0.05, shape).astype(np.float32)
        last = mod.split(".")[-1]
        small = last == "bn3" or "fuse_layers" in mod or (last == "bn2" and "branches" in mod)
        a = r.uniform(0.1, 0.3, shape) if small else r.uniform(0.7, 1.1, shape)
        if mod.startswith("layer4.") and last in ("bn3", "1"):
            a = a * 0.3  # pooled features near .5, as in a trained network
        if mod in ("backbone.bn2", "encoder.bn2"):  # HRNet stem
            a = a * 0.2
        if mod == "encoder.final_layer.1":
            a = a * 0.3
        return a.astype(np.float32)
    top = mod.split(".")[0]
    if top in _HEAD:
        if leaf == "bias":
            return r.normal(0, 0.002, shape).astype(np.float32)
        std = _HEAD[top] or 1.0 / np.sqrt(shape[1])
        return r.normal(0, std, shape).astype(np.float32)
    if leaf == "bias":
        return r.normal(0, 0.01, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return r.normal(0, np.sqrt(2.0 / fan_in), shape).astype(np.float32)


def fill_state(shapes, tag):
    bn = {k[: -len(".running_mean")] for k in shapes if k.endswith(".running_mean")}
    mean = mean_params()
    return {k: fill(k, tuple(s), tag, lambda m: m in bn, mean) for k, s in shapes.items()}


# ---------------------------------------------------------------- geometry in numpy
rodrigues = fake_smpl.rodrigues


def lbs(m, pose, betas):
    R = rodrigues(pose)
    v = m["v_template"] + m["shapedirs"] @ np.asarray(betas, np.float64)
    J = np.asarray(m["J_regressor"] @ v)
    v = v + m["posedirs"] @ (R[1:] - np.eye(3)).reshape(-1)
    G = [None] * NJ
    for i, p in enumerate(PARENTS):
        T = np.eye(4)
        T[:3, :3] = R[i]
        T[:3, 3] = J[i] - (J[p] if p >= 0 else 0)
        G[i] = T if p < 0 else G[p] @ T
    G = np.stack(G)
    jp = G[:, :3, 3].copy()
    A = G.copy()
    A[:, :3, 3] -= np.einsum("jab,jb->ja", G[:, :3, :3], J)
    T = np.einsum("vj,jab->vab", m["weights"], A)
    return np.einsum("vab,vb->va", T[:, :3, :3], v) + T[:, :3, 3], jp


def crop_affine(center, scale, w=CROP_W, h=CROP_H):
    """2x3 map from the full frame to the crop: height 200*scale -> h, same factor in x, no rotation"""
    f = h / (200.0 * scale)
    return np.array([[f, 0, w / 2.0 - f * center[0]], [0, f, h / 2.0 - f * center[1]]])


# vertex numbers that smplx appends after the 24 joints (nose, eyes, ears, feet, finger tips)
SMPLX_EXTRA_VERTS = [
    332,
    6260,
    2800,
    4071,
    583,
    3216,
    3226,
    3387,
    6617,
    6624,
    6787,
    2746,
    2319,
    2445,
    2556,
    2673,
    6191,
    5782,
    5905,
    6016,
    6133,
]

FRAMES = [(960, 540), (640, 480), (1000, 1002), (500, 375), (427, 640), (1280, 720)]


def batch(n=4, tag="batch", neutral=None):
    """numpy batch with the keys/dtypes of the official loader, flip=rot=0. 'keypoints' are crop pixels."""
    neutral = neutral or smpl_model("neutral")
    ex, _ = regressors()
    out = {}
    for i in range(n):
        r = rs("%s/%d" % (tag, i))
        low = r.normal(0, 1, (3, CROP_H // 16, CROP_W // 16))
        img = np.repeat(np.repeat(low, 16, 1), 16, 2) * 0.9 + r.normal(0, 0.5, (3, CROP_H, CROP_W))
        pose = fake_smpl.mean_aa().reshape(72) + r.normal(0, 0.18, 72)
        pose[:3] = rs_global(r)
        betas = r.normal(0, 0.6, 10)
        v, j24 = lbs(neutral, pose, betas)
        j54 = np.concatenate([j24, v[SMPLX_EXTRA_VERTS], ex @ v])
        j49 = j54[JOINT_MAP_49]
        w, h = FRAMES[i % len(FRAMES)]
        focal = float(np.sqrt(w * w + h * h)) if i % 2 else float(1.15 * max(w, h))
        tz = focal * 1.75 / (0.7 * h)
        t = np.array(
            [r.uniform(-0.12, 0.12) * w / focal * tz, r.uniform(-0.06, 0.06) * h / focal * tz, tz]
        )
        p = j49 + t
        uv = p[:, :2] / p[:, 2:] * focal + np.array([w / 2.0, h / 2.0])
        uv = uv + r.normal(0, 0.004 * h, uv.shape)
        conf = np.ones(49)
        conf[:25] = r.uniform(0.3, 1, 25)
        conf[r.permutation(25)[:4]] = 0
        conf[25 + r.permutation(24)[:5]] = 0
        g = uv[25:][conf[25:] > 0]
        lo, hi = g.min(0), g.max(0)
        center = ((lo + hi) / 2).astype(np.float32)
        scale = float(1.2 * max((hi - lo)[0] * CROP_H / CROP_W, (hi - lo)[1]) / 200.0)
        A = crop_affine(center, scale).astype(np.float32)
        kp = np.concatenate([uv @ A[:, :2].T + A[:, 2], conf[:, None]], 1)
        s3 = np.concatenate(
            [
                j49[25:] + r.normal(0, 0.01, (24, 3)),
                (r.uniform(0, 1, (24, 1)) > 0.15).astype(float),
            ],
            1,
        )
        info = np.array(
            [
                (center[0] - w / 2.0) / focal * 2.8,
                (center[1] - h / 2.0) / focal * 2.8,
                (scale * 200 - 0.24 * focal) / (0.06 * focal),
            ]
        )
        item = dict(
            img=img.astype(np.float32),
            keypoints=kp.astype(np.float32),
            keypoints_full=np.concatenate([uv, conf[:, None]], 1).astype(np.float32),
            pose=pose.astype(np.float32),
            betas=betas.astype(np.float32),
            pose_3d=s3.astype(np.float32),
            has_smpl=np.float64(i != 2),
            has_pose_3d=np.int64(i != 1),
            is_flipped=np.int64(0),
            crop_trans=A,
            full_trans=A,
            inv_trans=A,
            rot_angle=np.float32(0),
            sample_index=np.int64(i),
            bbox_info=info.astype(np.float32),
            center=center,
            scale=np.float64(scale),
            focal_length=np.float64(focal),
            img_h=np.int64(h),
            img_w=np.int64(w),
            gender=np.int32(i % 2),
            scale_factor=np.int64(1),
        )
        for k, x in item.items():
            out.setdefault(k, []).append(x)
    return {k: np.stack(x) for k, x in out.items()}


def rs_global(r):
    """a root rotation close to a half turn about x, as axis-angle"""
    R = rodrigues(r.normal(0, 0.2, 3))[0] @ rodrigues([np.pi, 0, 0])[0]
    w = np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))
    if np.pi - w > 1e-4:
        ax = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / (2 * np.sin(w))
    else:
        ax = np.sqrt(np.maximum((np.diag(R) + 1) / 2, 0))
    return ax * w
