"""A clip's temporal term."""

import torch

from exemplar.fitting.clip import mean_square_acceleration


def test_accelerations_are_of_neighbours_in_a_window() -> None:
    times = torch.arange(8).double() / 10
    # 3 t^2 has the second derivative 6
    values = torch.stack((3 * times**2, torch.zeros(8).double()), 1)
    window = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    found = mean_square_acceleration(values, times, window)
    torch.testing.assert_close(found, 18.0 * torch.tensor([0, 1, 1, 0, 0, 1, 1, 0]).double())


def test_across_a_gap_there_is_no_acceleration() -> None:
    times = torch.tensor([0.0, 0.1, 0.2, 1.2, 1.3, 1.4]).double()
    values = (3 * times**2)[:, None]
    found = mean_square_acceleration(values, times, torch.zeros(6))
    torch.testing.assert_close(found, 36.0 * torch.tensor([0, 1, 0, 0, 1, 0]).double())


def test_two_frames_have_none() -> None:
    found = mean_square_acceleration(torch.ones(2, 3), torch.tensor([0.0, 1.0]), torch.zeros(2))
    assert found.tolist() == [0, 0]
