import numpy as np
import torch
from scipy.special import rel_entr, softmax

from training.losses.distillation import distillation_loss


def maps(seed: int, m: int = 3) -> torch.Tensor:
    return 3 * torch.randn(m, 2, 4, 5, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_divergence_over_all_cells_and_not_here():
    student, teacher = maps(0), maps(1)
    ours, theirs = (
        softmax(np.pad(x.flatten(1).double().numpy(), ((0, 0), (0, 1))), axis=1)
        for x in (student, teacher)
    )
    wanted = rel_entr(theirs, ours).sum(1).mean()
    assert wanted > 1
    np.testing.assert_allclose(float(distillation_loss(student, teacher)), wanted, rtol=1e-5)


def test_nothing_is_left_to_learn_from_an_equal():
    assert abs(float(distillation_loss(maps(0), maps(0)))) < 1e-6


def test_the_teacher_gets_no_gradient_and_the_student_comes_nearer():
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    before = distillation_loss(student, teacher)
    before.backward()
    assert teacher.grad is None
    assert distillation_loss(student.detach() - student.grad, teacher) < before
    assert student.grad is not None and torch.isfinite(student.grad).all()


def test_a_teacher_that_says_not_here_is_heard():
    student = maps(0, 1).requires_grad_()
    distillation_loss(student, torch.full_like(student, -30.0)).backward()
    assert student.grad is not None and (student.grad > 0).all()  # every cell less likely
