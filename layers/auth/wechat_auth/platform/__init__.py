"""A third-party platform: merchants' mini-programs, for which no AppSecret is stored here.

Loaded only by deployments that have one (ComponentAppId). Source: WeChat Open Platform,
third-party platforms (developers.weixin.qq.com/doc/oplatform).
"""
