"""Callbacks that every guided net has."""

from skorch.callbacks import PassthroughScoring


class TaskLoss(PassthroughScoring):
    """Average of the task loss; without guidance it is the training loss, at no cost a batch."""

    def on_epoch_end(self, net, **kwargs):
        """Record the average of the epoch."""
        if net.consistency_weight == 0:
            if "train_loss" in net.history[-1]:
                net.history.record(self.name, net.history[-1]["train_loss"])
            return
        super().on_epoch_end(net, **kwargs)
