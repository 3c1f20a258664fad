"""The signatures of the SMS providers, against the examples that their documents publish."""

import hashlib
from datetime import UTC, datetime

import pytest

from hub.codes.senders import aliyun, tencent


def test_acs3_gives_the_published_signature() -> None:
    """Aliyun's example with fixed parameters: RunInstances of ECS."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = {
        "RegionId": "cn-shanghai",
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
    }
    assert aliyun.authorization("YourAccessKeyId", "YourAccessKeySecret", query, headers) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;"
        "x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


@pytest.mark.parametrize(
    ("mask", "signature"),
    [
        ("*******", "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"),
        ("EXAMPLE", "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"),
    ],
)
def test_tc3_gives_the_published_signature(mask: str, signature: str) -> None:
    """Tencent Cloud's example, DescribeInstances of CVM, in both editions of the document."""
    secret_id = f"AKIDz8krbsJ5yKBZQpn74WFkmLPx3{mask}"
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    made = tencent.authorization(
        secret_id,
        f"Gu5t9xGARNpq86cd98joQYCN3{mask}",
        "cvm",
        "cvm.tencentcloudapi.com",
        body,
        datetime.fromtimestamp(1551113065, UTC),
    )
    assert made == (
        f"TC3-HMAC-SHA256 Credential={secret_id}/2019-02-25/cvm/tc3_request, "
        f"SignedHeaders=content-type;host, Signature={signature}"
    )
