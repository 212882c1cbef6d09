"""The queues of the template, worked off as Lambda does it.

A message that fails stays on its queue; here it is given again as soon as the queue is worked off
again, and no dead-letter queue takes it.

Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".
"""

import threading
from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

from local.runtime import Functions
from local.template import REGION, Application, Queue


class Queues:
    """The queues that a function works off.

    Args:
        application: Has the queues.
        functions: Run the functions that work them off.
        create_client: Gives the client of SQS.
    """

    def __init__(
        self,
        application: Application,
        functions: Functions,
        create_client: Callable[..., BaseClient],
    ) -> None:
        self._queues = [queue for queue in application.queues if queue.function]
        self._functions = functions
        self._sqs: Any = create_client("sqs")
        self._lock = threading.Lock()

    def work_off(self) -> int:
        """Give each message to its function once, and return how many were done."""
        with self._lock:
            return sum(self._work_off(queue) for queue in self._queues)

    def discard(self) -> None:
        """Forget what waits in the queues."""
        # Not PurgeQueue, which may be asked for once a minute.
        for queue in self._queues:
            self._sqs.delete_queue(QueueUrl=queue.url)
            self._sqs.create_queue(QueueName=queue.name)

    def _work_off(self, queue: Queue) -> int:
        done, failed = 0, []
        given = self._receive(queue)
        while given:
            for message in given:
                record = _record(queue, message)
                answer = self._functions.invoke(str(queue.function), {"Records": [record]})
                if not answer["batchItemFailures"]:
                    receipt = message["ReceiptHandle"]
                    self._sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=receipt)
                    done += 1
                else:
                    failed.append(message["ReceiptHandle"])
            given = self._receive(queue)
        for receipt in failed:
            self._sqs.change_message_visibility(
                QueueUrl=queue.url, ReceiptHandle=receipt, VisibilityTimeout=0
            )
        return done

    def _receive(self, queue: Queue) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


def _record(queue: Queue, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:{queue.name}",
        "awsRegion": REGION,
    }
