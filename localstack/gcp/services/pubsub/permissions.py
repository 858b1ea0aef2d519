"""The IAM permissions of Pub/Sub's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "Publisher.ListTopicSnapshots": "topics.get",
    "Publisher.ListTopicSubscriptions": "topics.get",
    "IAMPolicy.GetIamPolicy": "topics.getIamPolicy subscriptions.getIamPolicy",
    "IAMPolicy.SetIamPolicy": "topics.setIamPolicy subscriptions.setIamPolicy",
    "Subscriber.CreateSnapshot": "snapshots.create subscriptions.consume",
    "Publisher.Publish": "topics.publish",
    "Subscriber.CreateSubscription": "subscriptions.create topics.attachSubscription",
    "Subscriber.Pull": "subscriptions.consume",
    "Subscriber.StreamingPull": "subscriptions.consume",
    "Subscriber.Acknowledge": "subscriptions.consume",
    "Subscriber.ModifyAckDeadline": "subscriptions.consume",
    "Subscriber.ModifyPushConfig": "subscriptions.update",
    "Subscriber.Seek": "subscriptions.consume snapshots.seek",
    "Subscriber.DetachSubscription": "topics.detachSubscription",
    "Publisher.DetachSubscription": "topics.detachSubscription",
}
